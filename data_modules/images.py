"""Images as snapshots, from a folder of files or from an array."""

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
"""Suffixes of the files of a folder that are read, in either case; others are ignored."""

CONVERTED_MODES = {"1": "L", "P": "RGB", "LA": "L", "PA": "RGB", "RGBA": "RGB", "CMYK": "RGB"}
"""Modes of pillow that images of other modes are converted to; transparency is dropped."""


def read_folder(folder: Path) -> Float[Tensor, "n channels height width"]:
    """Images of a folder in the order of their names, float32, scaled as in :func:`as_images`.

    They have one channel, or three if their colours differ. Raises ``InputError`` for a folder
    without images, for images that cannot be read or differ in size, and for more of them than fit
    in memory.
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
    """Images of an array ``(N, C, H, W)``, or ``(N, H, W)`` with one channel, as float32.

    Integers between 0 and 255 are scaled to 0..1, which is logged with ``path``.
    """
    states = states[:, None] if states.ndim == 3 else states
    if states.dtype.kind in "iu" and states.size and 0 <= states.min() <= states.max() <= 255:
        log.info("data.path=%s: integers 0..255 are scaled to 0..1", path)
        return torch.from_numpy(states.astype(np.float32)).div_(255)
    return torch.from_numpy(states.astype(np.float32))


def _pixels(path: Path) -> np.ndarray:
    """Pixels of an image file, ``(channels, height, width)``."""
    try:
        with Image.open(path) as image:
            count = getattr(image, "n_frames", 1)
            pixels = np.asarray(image.convert(CONVERTED_MODES.get(image.mode, image.mode)))
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise InputError(f"data.path={path}: {error}; expected an image") from error
    if count > 1:
        raise InputError(f"data.path={path}: {count} pictures found; expected one in each file")
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def _described(pixels: np.ndarray) -> str:
    channels, height, width = pixels.shape
    return f"{height}x{width} pixels of {channels} channels, {pixels.dtype}"
