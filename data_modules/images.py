"""Images as snapshots: a folder of them, or an array of brightnesses."""

import logging
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from eqflow.errors import InputError
from eqflow.runtime import check_memory

log = logging.getLogger("eqflow")

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""Files of a folder that are read, whatever the case; others are passed over."""

CONVERTED_MODES = {"1": "L", "P": "RGB", "LA": "L", "PA": "RGB", "RGBA": "RGB", "CMYK": "RGB"}
"""What pictures are read as that hold no plain brightnesses; transparency is left out."""


def read_folder(folder: Path) -> Float[Tensor, "n channels height width"]:
    """Images of a folder in the order of their names, float32; see :func:`as_images`.

    One channel, or three for colours that differ. Raises ``InputError`` for a folder without
    images, one that cannot be read, images of unequal size, and more of them than memory.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise InputError(
            f"data.path={folder}: no images found; expected {', '.join(IMAGE_SUFFIXES)}"
        )
    first = _pixels(paths[0])
    check_memory(8 * len(paths) * first.size, f"data.path={folder}: {len(paths)} images")
    states = np.empty((len(paths), *first.shape), first.dtype)
    for image, path in zip(states, paths, strict=True):
        pixels = _pixels(path)
        if pixels.shape != first.shape or pixels.dtype != first.dtype:
            raise InputError(
                f"data.path={folder}: {path.name} is {_described(pixels)}, {paths[0].name} is "
                f"{_described(first)}; expected images of one size and kind"
            )
        image[:] = pixels
    if states.shape[1] == 3 and (states == states[:, :1]).all():
        log.info("data.path=%s: the three colours are the same; one is kept", folder)
        states = states[:, :1]
    return as_images(states, folder)


def as_images(states: np.ndarray, path: Path) -> Float[Tensor, "n channels height width"]:
    """An array ``(N, C, H, W)``, or ``(N, H, W)`` of one channel, as float32.

    Integers between 0 and 255 are brightnesses, and scaled to 0..1.
    """
    states = states[:, None] if states.ndim == 3 else states
    if states.dtype.kind in "iu" and states.size and 0 <= states.min() <= states.max() <= 255:
        log.info("data.path=%s: integers 0..255 are scaled to 0..1", path)
        return torch.from_numpy(states.astype(np.float32)).div_(255)
    return torch.from_numpy(states.astype(np.float32))


def _pixels(path: Path) -> np.ndarray:
    """Of one image, ``(channels, height, width)``."""
    try:
        with Image.open(path) as image:
            frames = getattr(image, "n_frames", 1)
            pixels = np.asarray(image.convert(CONVERTED_MODES.get(image.mode, image.mode)))
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise InputError(f"data.path={path}: {error}; expected an image") from error
    if frames > 1:
        raise InputError(f"data.path={path}: {frames} pictures found; expected one in each file")
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def _described(pixels: np.ndarray) -> str:
    channels, height, width = pixels.shape
    return f"{height}x{width} pixels of {channels} channels, {pixels.dtype}"
