"""Measures of many fields: means, and how far the fields differ."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from eqflow.evaluation.chaos import member_chaos
from eqflow.evaluation.evaluate import evaluate
from eqflow.evaluation.pairs import kinds, pair_table
from eqflow.evaluation.protocol import Protocol
from eqflow.fields import Ensemble
from eqflow.score import Score
from eqflow.simulate import Integrator
from eqflow.snapshots import Snapshots

Numbers = dict[str, float]


def mean_and_spread(found: Sequence[Numbers]) -> Numbers:
    """Mean of every measure over those that have it, and its spread as ``..._std`` of two or more.

    Spreads of the single ones are left out.
    """
    names = dict.fromkeys(name for numbers in found for name in numbers)
    table = {
        name: torch.tensor([n[name] for n in found if name in n], dtype=torch.double)
        for name in names
        if not name.endswith("_std")
    }
    return {name: values.mean().item() for name, values in table.items()} | {
        f"{name}_std": values.std().item() for name, values in table.items() if len(values) > 1
    }


@torch.no_grad()
def evaluate_members(
    ensemble: Ensemble,
    family: str,
    score: Score,
    snapshots: Snapshots,
    integrator: Integrator,
    sigma: float,
    protocol: Protocol,
    **random: Any,
) -> Numbers:
    """What :func:`evaluate` gives of every member, mean and spread, and how alike they are.

    To each other and to random skew maps, random networks of arguments ``random``, score and
    truth: :func:`pair_table`.
    """
    alone = replace(protocol, chaos=0)  # measured of all at once
    chaos = member_chaos(ensemble, snapshots, integrator, sigma, protocol)
    numbers = mean_and_spread(
        [
            evaluate(ensemble[k], score, snapshots, integrator, sigma, alone) | found
            for k, found in enumerate(chaos)
        ]
    )
    found = kinds(ensemble, family, score, snapshots, sigma, protocol, **random)
    known = {"members": len(ensemble), "preservation/sigma": sigma}  # a mean would round the level
    return numbers | pair_table(found) | known
