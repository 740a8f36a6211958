"""Icons that are drawn here, in the square ``[-1, 1]^2`` with y upwards; they look upwards."""

from collections.abc import Callable, Sequence
from math import cos, pi, sin

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from eqflow.icons.icon import Icon

Colour = tuple[float, float, float]
Shape = Callable[[Tensor, Tensor], Tensor]

FINENESS = 8
"""Points along a side of a pixel at which a drawing is taken; their mean softens the edges."""

INK, CREAM = (0.09, 0.11, 0.20), (0.99, 0.96, 0.88)
BLUE, RED = (0.13, 0.36, 0.86), (0.87, 0.18, 0.16)
WING, ORANGE = (0.22, 0.24, 0.36), (0.90, 0.40, 0.14)
GLOW, LIGHT = (0.80, 0.86, 0.12), (0.97, 0.99, 0.55)


def ellipse(x: float, y: float, width: float, height: float, tilt: float = 0.0) -> Shape:
    """Ellipse of half axes ``width`` and ``height`` about a point, turned by ``tilt`` degrees."""
    c, s = cos(tilt * pi / 180), sin(tilt * pi / 180)

    def inside(u: Tensor, v: Tensor) -> Bool[Tensor, "side side"]:
        u, v = u - x, v - y
        return ((c * u + s * v) / width).square() + ((c * v - s * u) / height).square() <= 1

    return inside


def disc(x: float, y: float, radius: float) -> Shape:
    """Disc about a point."""
    return ellipse(x, y, radius, radius)


def right_half_disc(u: Tensor, v: Tensor) -> Bool[Tensor, "side side"]:
    """Half of the disc that a taiji's rim leaves free."""
    return disc(0, 0, 0.9)(u, v) & (u > 0)


DRAWINGS: dict[str, Sequence[tuple[Shape, Colour]]] = {
    "firefly": [
        (ellipse(-0.24, 0.80, 0.05, 0.22, 35), INK),  # feelers
        (ellipse(0.24, 0.80, 0.05, 0.22, -35), INK),
        (ellipse(0, -0.60, 0.27, 0.40), GLOW),  # lantern
        (ellipse(0, -0.66, 0.15, 0.24), LIGHT),
        (ellipse(-0.27, -0.08, 0.25, 0.56, -16), WING),
        (ellipse(0.27, -0.08, 0.25, 0.56, 16), WING),
        (ellipse(0, 0.45, 0.31, 0.21), ORANGE),  # shield
        (ellipse(0, 0.66, 0.19, 0.14), INK),  # head
    ],
    "taiji": [
        (disc(0, 0, 1), INK),
        (disc(0, 0, 0.9), CREAM),
        (right_half_disc, INK),
        (disc(0, 0.45, 0.45), CREAM),
        (disc(0, -0.45, 0.45), INK),
        (disc(0, 0.45, 0.16), INK),
        (disc(0, -0.45, 0.16), CREAM),
    ],
    "blue_dot": [(disc(0, 0, 1), BLUE)],
    "blue_red_dots": [(disc(0, 0.5, 0.5), BLUE), (disc(0, -0.5, 0.5), RED)],
}
"""Shapes of each icon and their colours, the later ones over the earlier ones."""


def drawn(name: str, size: int) -> Icon:
    """The icon ``name`` of ``DRAWINGS``, whose longest side has ``size`` pixels."""
    return Icon.of(name, _picture(DRAWINGS[name], FINENESS * size), size)


def _picture(layers: Sequence[tuple[Shape, Colour]], side: int) -> Float[Tensor, "4 side side"]:
    middles = (torch.arange(side) + 0.5) * 2 / side - 1
    v, u = torch.meshgrid(-middles, middles, indexing="ij")
    picture = torch.zeros(4, side, side)
    for inside, colour in layers:
        picture[:, inside(u, v)] = torch.tensor([*colour, 1.0])[:, None]
    return picture
