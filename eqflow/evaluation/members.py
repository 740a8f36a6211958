"""Measures of many fields: means, and how far the fields differ."""

from collections.abc import Sequence
from typing import Any

import torch

from eqflow.evaluation.evaluate import evaluate
from eqflow.evaluation.states import held_out
from eqflow.fields import Ensemble

Numbers = dict[str, float]


def mean_and_spread(found: Sequence[Numbers]) -> Numbers:
    """Mean of every measure of the first over those that have it, and its spread as ``..._std``."""
    table = {
        name: torch.tensor([n[name] for n in found if name in n], dtype=torch.double)
        for name in found[0]
        if not name.endswith("_std")
    }
    return {name: values.mean().item() for name, values in table.items()} | {
        f"{name}_std": values.std().item() for name, values in table.items()
    }


@torch.no_grad()
def evaluate_members(ensemble: Ensemble, *parts: Any) -> Numbers:
    """What :func:`evaluate` gives of every member, mean and spread, and how alike they are.

    ``parts`` are its other arguments. ``agreement`` is the mean ``|cos|`` of all pairs over
    held-out states: of one architecture under many seeds it measures the bias of the family.
    """
    _, snapshots, _, sigma, protocol = parts
    x = held_out(snapshots, sigma, protocol)[0]
    pairs = ensemble.cosines(x).abs()[*torch.triu_indices(len(ensemble), len(ensemble), 1)]
    numbers = mean_and_spread([evaluate(ensemble[k], *parts) for k in range(len(ensemble))])
    agreement = {"agreement": pairs.mean().item(), "agreement_std": pairs.std().item()}
    return numbers | agreement | {"members": len(ensemble)}
