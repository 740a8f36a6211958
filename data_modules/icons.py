"""Data set ``icons``: a distribution of images specified by hand, as in artificial life."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from PIL import ImageColor
from torch import Tensor

from data_modules.cached import CachedImages, sides
from eqflow.data import Snapshots
from eqflow.errors import InputError
from eqflow.icons import Scattered, Scene, scatter
from eqflow.icons import icon as icon_of
from eqflow.runtime import chunks

LEAST_CONTRAST = 0.01
"""Least difference of an icon to the background in each colour, of which the largest is 1."""

TRIAL = 4
"""Images that are made to learn whether the icons find room on a canvas."""


class Icons(CachedImages):
    """Snapshots ``(3, height, width)`` of icons on a periodic canvas, turned and placed at random.

    No true velocity is known. Source: Zhang & Levin (2025), artificial life.

    Args:
        icon: Name of a drawing (see ``eqflow.icons.DRAWINGS``) or path of a PNG, or a list of them,
            which are mixed in equal numbers.
        size: Longest side of an icon, in pixels.
        canvas: Side of a square canvas, or ``[height, width]``; multiples of 4.
        density: Share of the canvas that icons cover.
        background: Red, green and blue in ``[0, 1]``, or the name of a colour.
        rotate: Whether icons are turned by random angles.
        n: Number of training images.
        val: Number of validation images.
        test: Number of held-out images.
        cache_dir: Folder that keeps the images, which are mapped from there.
        loader: Arguments of :class:`SnapshotsModule`.

    Raises ``InputError`` for options that make no sense, pictures that cannot be read, icons that
    do not find room, and a disk that is too small.
    """

    def __init__(
        self,
        icon: str | Sequence[str] = "firefly",
        size: int = 16,
        canvas: int | Sequence[int] = 64,
        density: float = 0.15,
        background: str | Sequence[float] = "white",
        rotate: bool = True,
        n: int = 2048,
        val: int = 64,
        test: int = 128,
        cache_dir: str = "outputs/.cache",
        **loader: int,
    ) -> None:
        super().__init__(n, val, test, cache_dir, **loader)
        if not isinstance(size, int) or size < 4:
            raise InputError(f"data.size={size}: expected a whole number of pixels >= 4")
        if not 0 < density < 1:
            raise InputError(f"data.density={density}: expected a share between 0 and 1")
        self.canvas, self.density, self.rotate = sides("data.canvas", canvas), density, rotate
        if any(side < 1 or side % 4 for side in self.canvas):
            raise InputError(f"data.canvas={canvas}: expected multiples of 4")
        icons = tuple(icon_of(name, size) for name in _names(icon))
        self.scene = Scene(icons, colour(background))
        _check_contrast(self.scene, background)
        self.shape = (3, *self.canvas)
        self.scattered(torch.arange(TRIAL))
        self.check_room()

    def key(self) -> dict[str, Any]:
        return {
            "icons": [icon.image.tolist() for icon in self.scene.icons],
            "background": self.scene.background.tolist(),
            "canvas": self.canvas,
            "density": float(self.density),
            "rotate": self.rotate,
        }

    def batches(self, n: int) -> Iterator[Tensor]:
        for numbers in chunks(torch.arange(n), self.shape):
            yield self.scattered(numbers).images

    def scattered(self, numbers: Tensor) -> Scattered:
        """Raw images by their numbers, in the order of the cache, and the poses of their icons."""
        return scatter(self.scene, numbers, self.canvas, self.density, self.rotate, self.seed)

    def load(self) -> Snapshots:
        return replace(super().load(), scene=self.scene)


def colour(background: str | Sequence[float]) -> Float[Tensor, "3"]:
    """Red, green and blue in [0, 1] of a colour that is named or given by these numbers."""
    parts = _named(background) if isinstance(background, str) else background
    numbers = isinstance(parts, Sequence) and all(isinstance(part, int | float) for part in parts)
    if numbers and len(parts) == 3 and 0 <= min(parts) <= max(parts) <= 1:
        return torch.tensor(parts, dtype=torch.float32)
    raise InputError(
        f"data.background={background}: expected the name of a colour, as white or '#f0f0ff', or "
        "red, green and blue from 0 to 1"
    )


def _named(colour: str) -> list[float]:
    """Red, green and blue of a name or code; nothing if there is no such colour."""
    try:
        return [part / 255 for part in ImageColor.getrgb(colour)[:3]]
    except ValueError:
        return []


def _names(icon: str | Sequence[str]) -> list[str]:
    names = [icon] if isinstance(icon, str) or not isinstance(icon, Sequence) else list(icon)
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"data.icon={icon}: expected the name of a drawing or the path of a PNG")
    return names


def _check_contrast(scene: Scene, background: str | Sequence[float]) -> None:
    """Raise ``InputError`` for a channel that is the same everywhere: it has no distribution."""
    differences = [
        ((icon.image[:3] - scene.background[:, None, None]).abs() * icon.image[3]).amax((1, 2))
        for icon in scene.icons
    ]
    for name, contrast in zip(
        ("red", "green", "blue"), torch.stack(differences).amax(0), strict=True
    ):
        if contrast < LEAST_CONTRAST:
            raise InputError(
                f"data.background={background}: the icons have as much {name} as the background; "
                "expected another background"
            )
