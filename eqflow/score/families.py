"""Score estimators by name: ``score.name`` in a config or in a saved model.

A new score is a subclass of :class:`Score`, or of :class:`TrainedScore` to be trained, and an entry
of ``SCORES``.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.options import Options, check_arguments, options_of, unknown
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
"""Classes of scores by their names; each is built by its method ``build``."""


def score_options(name: str) -> Options:
    """Names and types of the arguments that a score takes; raises ``InputError`` if unknown."""
    if name not in SCORES:
        raise unknown("score.name=", name, SCORES)
    options = options_of(SCORES[name]).items()
    return {option: kind for option, kind in options if option not in ("self", "shape", "points")}


def build_score(
    name: str,
    shape: tuple[int, ...],
    points: Float[Tensor, "points *shape"],
    seed: int = 0,
    **arguments: Any,
) -> Score:
    """The score called ``name`` for states of ``shape``, its initial weights drawn by ``seed``.

    ``points`` are the standardised training snapshots, ``arguments`` those of the score's class.
    Raises ``InputError`` for an unknown name and for arguments that the class refuses.
    """
    check_arguments(arguments, score_options(name), "score.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(hashed(seed, Draws.SCORE_WEIGHTS))
        return SCORES[name].build(shape, points, **arguments)
