"""Images of icons scattered at random, without overlap, on a periodic canvas."""

from math import pi, prod
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.errors import InputError
from eqflow.icons.board import Board
from eqflow.icons.icon import Scene
from eqflow.runtime import Draws, generator

ANGLES = 128
"""Equally spaced angles that icons are turned by."""


class Scattered(NamedTuple):
    """Images in ``[0, 1]``, and the pose of each icon in them.

    Centres are rows and columns, where the middle of the first pixel is (0, 0); they are whole or
    half numbers. Angles are counter-clockwise, in radians. A kind is the icon's number in the
    scene.
    """

    images: Float[Tensor, "n 3 height width"]
    centres: Float[Tensor, "n count 2"]
    angles: Float[Tensor, "n count"]
    kinds: Int[Tensor, "n count"]


def number_of_icons(scene: Scene, canvas: tuple[int, int], density: float) -> int:
    """Icons that cover the share ``density`` of a canvas, one at least."""
    return max(1, round(density * prod(canvas) / scene.mean_area))


def scatter(
    scene: Scene,
    numbers: Int[Tensor, " n"],
    canvas: tuple[int, int],
    density: float = 0.15,
    rotate: bool = True,
    seed: int = 0,
) -> Scattered:
    """Images of a scene, each a function of its number and of ``seed`` alone.

    Icons are placed one after another: pixel and angle are drawn uniformly, and anew until the icon
    is a pixel or more apart from all others. Kinds take turns; the next canvas begins with the next
    kind.

    Raises ``InputError`` for icons that are larger than the canvas, or that do not all find room.
    """
    turns = range(ANGLES if rotate else 1)
    turned = [[icon.rotated(2 * pi / ANGLES * turn) for turn in turns] for icon in scene.icons]
    stamps = torch.stack([torch.stack(each) for each in turned])
    side, count = stamps.shape[-1], number_of_icons(scene, canvas, density)
    if side > min(canvas):
        raise InputError(
            f"data.canvas={list(canvas)}: an icon turns in a square of {side} pixels; expected "
            "sides of at least that many, or a smaller data.size"
        )
    board = Board(stamps, canvas, (numbers[:, None] + torch.arange(count)) % len(scene.icons))
    board.fill([generator(seed, Draws.SNAPSHOTS, int(number)) for number in numbers])
    if (placed := int(board.placed.min())) < count:
        raise InputError(
            f"data.density={density}: only {placed} of {count} icons find room on a canvas of "
            f"{canvas[0]}x{canvas[1]}, a density of {placed * scene.mean_area / prod(canvas):.2f}; "
            "expected a lower one"
        )
    centres = (board.corners + (side - 1) / 2) % torch.tensor(canvas)
    angles = 2 * pi / ANGLES * board.turns
    return Scattered(board.over(scene.background), centres, angles, board.kinds)
