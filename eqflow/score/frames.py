"""Frames of a periodic grid: the rolls, quarter turns and mirror images that a score is seen in.

Down-sampling treats pixels differently by their place in its cells, and training makes a network
only nearly indifferent to direction. A mean over frames takes both biases out, and the mean of
gradients is the gradient of a mean energy.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Frame(NamedTuple):
    """A roll by ``shift`` pixels along both axes, then ``turns`` quarter turns, then a mirror."""

    shift: tuple[int, int]
    turns: int
    mirrored: bool

    def into(self, x: Float[Tensor, "*batch height width"]) -> Tensor:
        """``x`` as seen in this frame; its sides change places with an odd number of turns."""
        x = torch.rot90(torch.roll(x, self.shift, (-2, -1)), self.turns, (-2, -1))
        return x.flip(-1) if self.mirrored else x

    def back(self, x: Float[Tensor, "*batch height width"]) -> Tensor:
        """The inverse of :meth:`into`."""
        x = torch.rot90(x.flip(-1) if self.mirrored else x, -self.turns, (-2, -1))
        return torch.roll(x, (-self.shift[0], -self.shift[1]), (-2, -1))


TURNS = [(0, False), (2, False), (1, True), (3, True), (1, False), (3, False), (0, True), (2, True)]
"""The symmetries of the square, opposite ones side by side."""


CELL = 4
"""Pixels that down-sampling takes together along an axis: two by two, twice."""


_PAIR = [(0, 0), (1, 1), (1, 0), (0, 1)]


PLACES = [(i + 2 * m, j + 2 * n) for m, n in _PAIR for i, j in _PAIR]
"""The places of a pixel in a cell, those within a pair of pixels first."""


EVERY = len(PLACES) * len(TURNS)
"""How many frames there are."""


def frames(count: int) -> list[Frame]:
    """The first ``count`` of all 128, in an order whose beginnings are spread evenly.

    The first 8 have every symmetry of the square, the first 16 every place in a cell too; the mean
    over all 128 is exact.
    """
    every = len(PLACES)
    return [Frame(PLACES[k % every], *TURNS[(k + k // every) % len(TURNS)]) for k in range(count)]
