"""Frames of a periodic grid: shifts, quarter turns and mirrorings to average a score over.

Down-sampling treats a pixel by its place in a cell, and training makes a network only nearly
indifferent to direction. The mean over frames removes both biases; it is the gradient of the mean
energy if the score is a gradient.
"""

from collections.abc import Callable
from itertools import cycle
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.runtime import Draws, generator


class Frame(NamedTuple):
    """A roll by ``shift`` pixels along both axes, then ``turns`` quarter turns, then a mirror."""

    shift: tuple[int, int]
    turns: int
    mirrored: bool

    def into(self, x: Float[Tensor, "*batch height width"]) -> Tensor:
        """``x`` in this frame; an odd number of turns exchanges height and width."""
        x = torch.rot90(torch.roll(x, self.shift, (-2, -1)), self.turns, (-2, -1))
        return x.flip(-1) if self.mirrored else x

    def back(self, x: Float[Tensor, "*batch height width"]) -> Tensor:
        """The inverse of :meth:`into`."""
        x = torch.rot90(x.flip(-1) if self.mirrored else x, -self.turns, (-2, -1))
        return torch.roll(x, (-self.shift[0], -self.shift[1]), (-2, -1))


CELL_SIDE = 4
"""Side in pixels of the cells that down-sampling by two, twice, takes together."""

SQUARE_SYMMETRIES = [
    *((0, False), (2, False), (1, True), (3, True)),
    *((1, False), (3, False), (0, True), (2, True)),
]
"""Quarter turns and mirroring of the 8 symmetries of the square, opposite ones side by side."""

_QUARTER = [(0, 0), (1, 1), (1, 0), (0, 1)]

CELL_PLACES = [(i + 2 * m, j + 2 * n) for m, n in _QUARTER for i, j in _QUARTER]
"""The 16 places of a pixel in a cell, those within two by two pixels first."""

FRAME_COUNT = len(CELL_PLACES) * len(SQUARE_SYMMETRIES)
"""Number of all frames, 128."""


def frames(count: int) -> list[Frame]:
    """The first ``count`` of all 128 frames, in an order whose beginnings are spread evenly.

    The first 8 have every symmetry of the square, the first 16 also every place in a cell; the mean
    over all 128 has no bias.

    >>> frames(2)[1]
    Frame(shift=(1, 1), turns=2, mirrored=False)
    """
    places = len(CELL_PLACES)
    turns = [SQUARE_SYMMETRIES[(k + k // places) % len(SQUARE_SYMMETRIES)] for k in range(count)]
    return [Frame(CELL_PLACES[k % places], *turn) for k, turn in enumerate(turns)]


class InTurn:
    """A score of images that is seen in one frame after another, a new one at every call.

    The order of the 128 frames is drawn by ``seed`` and then repeated, so that along a simulated
    path no place and no direction is preferred, at the cost of the score alone.
    """

    def __init__(self, score: Callable[..., Tensor], seed: int = 0) -> None:
        order = torch.randperm(FRAME_COUNT, generator=generator(seed, Draws.FRAME_ORDER))
        every = frames(FRAME_COUNT)
        self.score, self.turns = score, cycle([every[k] for k in order])

    def __call__(
        self, x: Float[Tensor, "batch channels height width"], *sigma: float
    ) -> Float[Tensor, "batch channels height width"]:
        frame = next(self.turns)
        return frame.back(self.score(frame.into(x), *sigma))
