"""Templates of an icon: its difference from the background, at successive angles."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, cos, pi, sin

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from eqflow.errors import InputError

ARC = 1.5
"""Pixels that the rim of an icon moves by from one angle to the next."""

ALIKE = 0.95
"""Correlation of an icon with itself after a turn, from which the turn is called a symmetry: what
interpolation between pixels leaves of a disc of 8 pixels."""

TURNS = (8, 7, 6, 5, 4, 3, 2)
"""Symmetries that are looked for, as turns by so many equal parts of a circle."""


@dataclass(frozen=True, eq=False)
class Templates:
    """An icon at successive angles, less the background and with the colours it lacks as zeros.

    Args:
        images: the icon in the middle of a square of odd side, turned counter-clockwise as seen.
        radius: distance from the centre to the farthest pixel that is visible, in pixels.
        period: angle after which the icon looks the same, in radians; zero for a disc, which has
            no angle at all.
    """

    images: Float[Tensor, "angles 3 side side"]
    radius: float
    period: float

    @classmethod
    def of(
        cls, icon: Float[Tensor, "4 height width"], background: Float[Tensor, "3"]
    ) -> "Templates":
        """Templates of a picture of red, green, blue and alpha in ``[0, 1]``, not premultiplied.

        It turns about the middle of the picture. Raises ``InputError`` for an icon that cannot be
        told from the background.
        """
        difference = icon[3] * (icon[:3] - background[:, None, None])
        if not (difference.abs() > 0.05).any():
            raise InputError("an icon that looks like the background cannot be located")
        at = icon[3].nonzero() - (torch.tensor(icon.shape[1:], device=icon.device) - 1) / 2
        radius = at.square().sum(1).max().sqrt().item() + 0.5
        count = 4 * ceil(2 * pi * radius / ARC / 4)
        circle = _turned(difference, [2 * pi * k / count for k in range(count)], radius)
        period = _period(difference, circle, radius)
        if not period:
            return cls(circle.mean(0, keepdim=True), radius, period)
        return cls(circle[: ceil(count * period / (2 * pi) - 1e-6)], radius, period)

    @property
    def step(self) -> float:
        """Angle from one template to the next, in radians."""
        return self.period / len(self.images)

    @property
    def energies(self) -> Float[Tensor, " angles"]:
        """Sum of squares of each template."""
        return self.images.square().sum((1, 2, 3))


def centred(
    image: Float[Tensor, "*batch side side"], canvas: tuple[int, int]
) -> Float[Tensor, "*batch height width"]:
    """A square of odd side on a periodic canvas, its middle at the first pixel."""
    side = image.shape[-1]
    wide = pad(image, (0, canvas[1] - side, 0, canvas[0] - side))
    return wide.roll((-(side // 2), -(side // 2)), (-2, -1))


def _turned(
    image: Float[Tensor, "3 height width"], angles: Sequence[float], radius: float
) -> Float[Tensor, "angles 3 side side"]:
    """``image`` turned about its middle, in a square with room for every angle."""
    reach = ceil(radius) + 1
    line = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
    y, x = torch.meshgrid(line, line, indexing="ij")
    half = (torch.tensor([image.shape[2], image.shape[1]]).to(image)) / 2
    grid = torch.stack(
        [torch.stack([cos(a) * x - sin(a) * y, sin(a) * x + cos(a) * y], -1) / half for a in angles]
    )
    images = image.expand(len(grid), *image.shape)
    return grid_sample(images, grid, mode="bicubic", align_corners=False)


def _period(
    image: Float[Tensor, "3 height width"],
    circle: Float[Tensor, "angles 3 side side"],
    radius: float,
) -> float:
    """Angle after which an icon looks the same; zero if it does after every angle."""

    def likeness(turned: Tensor, still: Tensor) -> Tensor:
        norms = turned.square().sum((1, 2, 3)) * still.square().sum((1, 2, 3))
        return (turned * still).sum((1, 2, 3)) / norms.sqrt()

    if likeness(circle, circle[:1]).min() > ALIKE:
        return 0.0
    oblique = 0.3  # no multiple of a right angle, which alone would be free of interpolation
    angles = [oblique + 2 * pi / n for n in (*TURNS, 1)]
    turned = _turned(image, angles, radius)
    alike = likeness(turned, turned[-1:]) > ALIKE
    return next(2 * pi / n for n, same in zip((*TURNS, 1), alike.tolist(), strict=True) if same)
