"""A learned network made exact: the nearest velocity field that keeps the distribution.

The network ``v`` meets the condition up to an error, and what it keeps drifts. The stream field
``w = Q s + div Q`` with the least ``E|w - v|^2`` at noised states has the shape of ``v`` and, where
the score is a gradient, no residual (method section 4).
"""

from collections.abc import Mapping
from typing import Any

from eqflow.errors import InputError
from eqflow.fields.network import Network
from eqflow.fields.stream import Stream
from eqflow.score import Score

EXACT_SIZE = ("width", "depth")
"""Those of the options of a projection that are the size of the exact field."""

MOST_DIMENSIONS = 32
"""Dimensions up to which networks are made exact unasked: ``Q`` has ``d^2 / 2`` outputs, each with
``d`` derivatives."""


class ExactNetwork(Stream):
    """Stream field that is drawn to the network ``origin``, which is kept beside it.

    ``width`` and ``depth`` are those of the perceptron ``Q``, whose first layer starts sharper than
    that of a stream field: it is to take a given shape, not to be smooth. The network is trained
    first, then ``Q`` (:class:`eqflow.training.ProjectionModule`).
    """

    def __init__(
        self, origin: Network, score: Score, sigma: float, width: int = 32, depth: int = 4
    ) -> None:
        super().__init__(origin.shape, score, sigma, width, depth, gain=2.0)
        self.origin = origin


def size_and_training(projection: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of a projection: those of the size of the exact field, and those of its training."""
    size = {name: value for name, value in projection.items() if name in EXACT_SIZE}
    return size, {name: value for name, value in projection.items() if name not in size}


def exact_if_possible(
    exact: bool | None, family: str, shape: tuple[int, ...], members: int, condition: str
) -> bool:
    """Whether a field is made exact: as ``exact`` says or, for None, wherever it can be cheaply.

    It can be one network of vectors that is trained by the strong form; the weak form has no score.
    Unasked it is up to ``MOST_DIMENSIONS``. Raises ``InputError`` where it cannot and is asked for.
    """
    possible = family == "network" and len(shape) == 1 and members == 1 and condition == "strong"
    if exact and not possible:
        raise InputError(
            "flow.exact=true makes one network of vectors exact that was trained by the strong "
            f"form, found flow.family={family}, states of shape {shape}, flow.ensemble={members} "
            f"and flow.condition={condition}; expected flow.exact=false"
        )
    return possible and shape[0] <= MOST_DIMENSIONS if exact is None else exact
