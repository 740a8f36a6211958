"""Random sequential placement of stamps on many periodic canvases at the same time."""

from math import prod

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import max_pool2d

TRIES = 100
"""Poses that are tried for a stamp before a canvas counts as full."""

STARTS = 20
"""Times that a canvas which is full too early is begun anew."""


class Board:
    """Canvases, painted in colours multiplied by alpha, and the poses of what is on them.

    Args:
        stamps: Each kind of stamp at each of its turns. Their margins are transparent.
        canvas: Height and width.
        kinds: Kind of each stamp that a canvas is to take.
    """

    def __init__(
        self,
        stamps: Float[Tensor, "kinds turns 4 side side"],
        canvas: tuple[int, int],
        kinds: Int[Tensor, "n count"],
    ) -> None:
        self.stamps, self.canvas, self.kinds = stamps.flatten(3), canvas, kinds
        self.near = _widened(stamps[:, :, 3] > 0).flatten(2)
        self.painted = torch.zeros(len(kinds), 4, prod(canvas))
        self.turns, self.corners = torch.zeros_like(kinds), kinds.new_zeros(*kinds.shape, 2)
        self.placed = torch.zeros_like(kinds[:, 0])
        self.within = torch.cartesian_prod(*[torch.arange(stamps.shape[-1])] * 2)

    def fill(self, draws: list[torch.Generator]) -> None:
        """Place all stamps on each canvas, with its own random numbers; see :attr:`placed`.

        A pose is drawn uniformly, and anew until the stamp is a pixel or more apart from others.
        """
        for _ in range(STARTS):
            rows = (self.placed < self.kinds.shape[1]).nonzero().flatten()
            self.painted[rows], self.placed[rows] = 0, 0
            for number in range(self.kinds.shape[1]):
                rows = self._place(number, rows, draws)

    def _place(
        self, number: int, rows: Int[Tensor, " k"], draws: list[torch.Generator]
    ) -> Int[Tensor, " l"]:
        """Place stamp ``number`` on the canvases ``rows``; returns those that had room."""
        left, most = rows, torch.tensor([self.stamps.shape[1], *self.canvas])
        for _ in range(TRIES if len(rows) else 0):
            random = torch.stack([torch.rand(3, generator=draws[row]) for row in left])
            turns, corners = (random * most).long().split([1, 2], 1)
            chosen, pixels = (self.kinds[left, number], turns[:, 0]), self._pixels(corners)
            taken = self.painted[left, 3].gather(1, pixels) > 0
            free = ~(taken & self.near[chosen]).any(1)
            self.turns[left, number], self.corners[left, number] = turns[:, 0], corners
            self._paint(left[free], pixels[free], self.stamps[chosen][free])
            left = left[~free]
            if not len(left):
                break
        done = rows[~torch.isin(rows, left)]
        self.placed[done] += 1
        return done

    def _pixels(self, corners: Int[Tensor, "k 2"]) -> Int[Tensor, "k area"]:
        """Numbers of the pixels beneath stamps, by their upper left corners."""
        height, width = self.canvas
        row, column = (corners[:, None] + self.within).unbind(2)
        return row % height * width + column % width

    def _paint(
        self,
        rows: Int[Tensor, " k"],
        pixels: Int[Tensor, "k area"],
        stamps: Float[Tensor, "k 4 area"],
    ) -> None:
        """Add stamps to the canvases ``rows``, on which their footprints are free."""
        for channel in range(4):
            self.painted[rows[:, None], channel, pixels] += stamps[:, channel]

    def over(self, background: Float[Tensor, "3"]) -> Float[Tensor, "n 3 height width"]:
        """What is painted, on a background."""
        colour, alpha = self.painted.split([3, 1], 1)
        return (colour + (1 - alpha) * background[:, None]).unflatten(2, self.canvas)


def _widened(
    masks: Bool[Tensor, "kinds turns side side"],
) -> Bool[Tensor, "kinds turns side side"]:
    """Masks with the eight neighbours of each pixel."""
    return max_pool2d(masks.float(), 3, stride=1, padding=1) > 0
