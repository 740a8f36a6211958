"""Icons, the objects that images are made of, and scenes: which icons on which background."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, cos, sin, sqrt
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate, pad

from eqflow.errors import InputError

FAINT = 0.04
"""Alpha below which a pixel is taken for transparent, so that a footprint has an end."""


@dataclass(frozen=True, eq=False)
class Icon:
    """An object with a shape, colours and soft edges.

    Args:
        name: What figures and messages call it.
        image: Red, green, blue and alpha in ``[0, 1]``; colours are not multiplied by alpha.
            The centre of the square is that of the icon, about which it turns.
    """

    name: str
    image: Float[Tensor, "4 side side"]

    @classmethod
    def of(cls, name: str, picture: Float[Tensor, "4 height width"], size: int) -> "Icon":
        """Icon of a picture, whose visible box gets a longest side of ``size`` pixels.

        ``name`` may be a path, of which the stem is kept. Raises ``InputError`` for a picture in
        which nothing is to be seen at this size.
        """
        rows, columns = ((picture[3] >= FAINT).any(1 - axis).nonzero() for axis in (0, 1))
        if len(rows):
            box = picture[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            icon = cls(Path(name).stem, _straight(_resized(_squared(_premultiplied(box)), size)))
            if icon.area:
                return icon
        raise InputError(
            f"data.icon={name}: nothing is to be seen in {size}x{size} pixels; expected a picture "
            "that is not transparent, nor of one colour"
        )

    @property
    def area(self) -> float:
        """Sum of alpha, in pixels."""
        return self.image[3].sum().item()

    @property
    def radius(self) -> float:
        """Distance from the centre to the middle of the farthest visible pixel, in pixels."""
        places = (self.image[3] > 0).nonzero() - (self.image.shape[-1] - 1) / 2
        return places.square().sum(1).max().sqrt().item()

    def rotated(self, angle: float) -> Float[Tensor, "4 wide wide"]:
        """The icon turned counter-clockwise by ``angle`` radians, colours multiplied by alpha.

        The square has room for every angle, and an odd or even side as :attr:`image` has. Pixels
        are interpolated by cubics; a multiple of a right angle is exact.
        """
        margin = ceil((sqrt(2) - 1) / 2 * self.image.shape[-1]) + 1
        square = pad(_premultiplied(self.image.double()), [margin] * 4)  # for exact right angles
        turn = square.new_tensor([[cos(angle), -sin(angle), 0], [sin(angle), cos(angle), 0]])
        grid = affine_grid(turn[None], [1, *square.shape], align_corners=False)
        return _clean(
            grid_sample(square[None], grid, mode="bicubic", align_corners=False)[0].float()
        )


@dataclass(frozen=True, eq=False)
class Scene:
    """What images show: icons of one size, on a background of red, green and blue in [0, 1]."""

    icons: Sequence[Icon]
    background: Float[Tensor, "3"]

    @property
    def mean_area(self) -> float:
        """Mean area of the icons, in pixels."""
        return sum(icon.area for icon in self.icons) / len(self.icons)


def _premultiplied(image: Tensor) -> Tensor:
    return torch.cat([image[:3] * image[3:], image[3:]])


def _straight(image: Tensor) -> Tensor:
    visible = image[3:] > 0
    return torch.cat([torch.where(visible, image[:3] / image[3:].clamp(min=FAINT), 0), image[3:]])


def _squared(image: Tensor) -> Tensor:
    """An image in the middle of a transparent square."""
    height, width = image.shape[1:]
    if (height - width) % 2:  # the middle of the square is to be that of the image: halve pixels
        return _squared(image.repeat_interleave(2, 1).repeat_interleave(2, 2))
    rows, columns = max(0, width - height) // 2, max(0, height - width) // 2
    return pad(image, [columns, columns, rows, rows])


def _resized(image: Tensor, size: int) -> Tensor:
    scaled = interpolate(image[None], size=(size, size), mode="bicubic", antialias=True)
    return _clean(scaled[0])


def _clean(image: Tensor) -> Tensor:
    """Colours within alpha and alpha within 1, which cubics exceed; faint pixels transparent."""
    alpha = image[3:].clamp(0, 1)
    alpha = torch.where(alpha < FAINT, 0, alpha)
    return torch.cat([torch.minimum(image[:3].clamp(min=0), alpha), alpha])
