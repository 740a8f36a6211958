"""Measures of many fields: means, and how far the fields differ."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from eqflow.data import Snapshots
from eqflow.evaluation.chaos import member_chaos
from eqflow.evaluation.displacement import displacement
from eqflow.evaluation.evaluate import evaluate
from eqflow.evaluation.images import image_similarity
from eqflow.evaluation.pairs import kinds, pair_table
from eqflow.evaluation.protocol import Protocol
from eqflow.evaluation.similarity import similarity
from eqflow.evaluation.states import noised
from eqflow.fields import Ensemble, build_field
from eqflow.runtime import Draws
from eqflow.score import Score
from eqflow.simulate import Integrator

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


SCALED_ON = 256
"""Training states that fix the speed of a random map."""


PUBLISHED = 3
"""Maps that go through the published protocol of displacement, which is slow."""


@torch.no_grad()
def random_skew_similarity(
    score: Score,
    snapshots: Snapshots,
    integrator: Integrator,
    sigma: float,
    protocol: Protocol,
    draws: int = 10,
    **arguments: Any,
) -> dict[str, float]:
    """Similarity of random skew maps of the score, of images also their displacements.

    Mean and, as ``..._std``, spread over ``draws`` seeds, of the published displacement over
    ``PUBLISHED``. ``arguments`` are those of their kernels.
    """
    images = len(snapshots.shape) > 1
    states = noised(snapshots.train[:SCALED_ON], sigma, protocol.seed, Draws.NORMALISATION)
    found: list[dict[str, float]] = []
    for seed in range(1000 * (protocol.seed + 1), 1000 * (protocol.seed + 1) + draws):
        field = build_field("random_skew", snapshots.shape, score, sigma, seed, **arguments)
        field = field.to(states.device)
        numbers = (image_similarity if images else similarity)(field, snapshots, sigma, protocol)
        if images:
            field.normalise_(states.split(32))
            parts = (field, score, snapshots, integrator, sigma, protocol)
            numbers |= displacement(*parts, published=len(found) < PUBLISHED)
        found.append(numbers)
    return mean_and_spread(found)
