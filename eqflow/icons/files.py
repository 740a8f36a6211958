"""Icons by name: those drawn here, and a user's pictures."""

import logging
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from scipy.ndimage import label
from torch import Tensor

from eqflow.errors import InputError
from eqflow.icons.drawing import DRAWINGS, drawn
from eqflow.icons.icon import Icon
from eqflow.options import unknown

log = logging.getLogger("eqflow")


def icon(name: str, size: int) -> Icon:
    """The icon of a drawing or of a picture's file; its longest side has ``size`` pixels.

    Raises ``InputError`` for a name that is neither, and for a file that cannot be read.
    """
    if name in DRAWINGS:
        return drawn(name, size)
    path = Path(name)
    if path.is_file():
        return Icon.of(name, read_picture(path), size)
    if path.suffix or len(path.parts) > 1:
        raise InputError(f"data.icon={name}: no such file; expected a PNG")
    raise unknown("data.icon=", name, [*DRAWINGS, "the path of a PNG"])


def read_picture(path: Path) -> Float[Tensor, "4 height width"]:
    """Red, green, blue and alpha of a file, in [0, 1].

    Where nothing is transparent, what has the colour of the border and is connected with it is made
    so; if the border has several colours, nothing is. Which of the two is logged.
    """
    rgba = _pixels(path)
    if (rgba[3] == 255).all():
        outside = _outside(rgba)
        rgba[3, outside] = 0
        log.info(
            "data.icon=%s: nothing is transparent; %s",
            path,
            "the colour of the border is taken for it"
            if outside.any()
            else "all of it is the icon",
        )
    return torch.from_numpy(rgba.astype(np.float32) / 255)


def _pixels(path: Path) -> np.ndarray:
    """Bytes ``(4, height, width)`` of a file of any mode of pillow."""
    try:
        with Image.open(path) as image:
            count = getattr(image, "n_frames", 1)
            if image.mode.startswith("I"):  # 16 bits, which pillow would clip at 255
                levels = np.asarray(image) // 257
                rgba = Image.fromarray(levels.astype(np.uint8)).convert("RGBA")
            else:
                rgba = image.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"data.icon={path}: {error}; expected a PNG") from error
    if count > 1:
        raise InputError(f"data.icon={path}: {count} pictures found; expected one in a file")
    return np.moveaxis(np.array(rgba), -1, 0)


def _outside(rgba: np.ndarray) -> np.ndarray:
    """Mask of the pixels of the border's one colour that are connected with the border."""
    same = (rgba == rgba[:, :1, :1]).all(0)
    if not (same[[0, -1]].all() and same[:, [0, -1]].all()):
        return np.zeros_like(same)
    parts, _ = label(same)
    return parts == parts[0, 0]
