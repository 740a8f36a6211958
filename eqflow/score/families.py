"""The fixed registry of score estimators: a name, in a config or a saved file, and its builder."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.runtime import Draws, hashed
from eqflow.score.base import Score
from eqflow.score.empirical import EmpiricalScore
from eqflow.score.images import ConvScore
from eqflow.score.mlp import MLPScore
from eqflow.score.unet import UNetScore

SCORES: dict[str, type[Score]] = {
    "mlp": MLPScore,
    "conv": ConvScore,
    "unet": UNetScore,
    "empirical": EmpiricalScore,
}
"""Name -> score class. ``empirical`` is the snapshots themselves, the others are trained."""


def build_score(
    name: str,
    shape: tuple[int, ...],
    points: Float[Tensor, "points *shape"],
    seed: int = 0,
    **arguments: Any,
) -> Score:
    """A score of a registered name, its weights drawn by ``seed``.

    ``points`` are the standardised training snapshots. Raises ``InputError`` for an unknown name.
    """
    if name not in SCORES:
        raise InputError(f"score.name={name} is unknown; expected one of {', '.join(SCORES)}")
    if name == "empirical":
        return EmpiricalScore(points, **arguments)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(hashed(seed, Draws.SCORE_WEIGHTS))
        return SCORES[name](shape, **arguments)
