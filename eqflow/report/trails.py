"""Film of objects: the field, the same with trails, and restoring noise alone, side by side."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from matplotlib.colors import to_rgb
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from eqflow.evaluation import ComparedField
from eqflow.icons import Scene
from eqflow.metrics.behaviour import Tracks, Watched
from eqflow.report.film import Picture, write_film
from eqflow.report.observed import REST_NAME

PANEL_SIDE = 384
"""Least length of the shorter side of a panel, in pixels."""

TRAIL = 50
"""Frames that a trail goes back: half a film, as many icons move by less than their size."""

FADED = 0.4
"""Strength of the objects behind trails."""

THICKNESS = 3
"""Pixels across a trail; it is drawn twice as large first, so that its edges are smooth."""

STRIP, GAP, LETTERS = 44, 12, 27
"""Pixels above panels and between them, and height of the letters above."""

INK, RIM = (31, 35, 40), (223, 227, 232)
"""Colours of the letters and around panels."""

Array = np.ndarray


def film(own: ComparedField, rest: Watched, path: Path) -> Path:
    """Write the film of the objects that were watched; returns ``path``."""
    seen = own.reference.watched[own.field]
    background = cast(Scene, own.reference.snapshots.scene).background.numpy()

    dt, colour = seen.motion.dt, own.look["color"]
    digits = 0 if dt >= 0.5 else 1

    def frame(k: int) -> Picture:
        plain, still = (_enlarged(watched.film[k]) for watched in (seen, rest))
        trailed = _under_trails(plain, seen.motion.tracks, k, background, colour)
        titles = (f"the field, after {k * dt:.{digits}f}", "its trails", REST_NAME)
        return _side_by_side((plain, trailed, still), titles)

    return write_film(path, map(frame, range(len(seen.film))))


def ways(
    tracks: Tracks, first: int, last: int
) -> tuple[Float[Array, "n ends 2"], Int[Array, " n"]]:
    """Ways of objects from one frame to the next, as columns and rows, and the frames they end at.

    They begin on the canvas. A way across the border is there twice: it also ends on the canvas.
    """
    x, canvas = tracks.position[first : last + 1, :, ::-1], np.array(tracks.canvas[::-1])
    time, track = np.nonzero(np.isfinite(x[1:] - x[:-1]).all(-1))
    ends = np.stack([x[time, track], x[time + 1, track]], 1)
    left, entered = (ends - canvas * ((ends[:, [k]] + 0.5) // canvas) for k in (0, 1))
    twice = (left != entered).any((1, 2))
    return np.concatenate([left, entered[twice]]), first + 1 + np.append(time, time[twice])


def _enlarged(image: Float[Tensor, "3 height width"]) -> Picture:
    zoom = max(1, -(-PANEL_SIDE // min(image.shape[1:])))
    pixels = (255 * image).round().to(torch.uint8).permute(1, 2, 0).numpy()
    size = (zoom * pixels.shape[1], zoom * pixels.shape[0])
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def _under_trails(
    picture: Picture, tracks: Tracks, frame: int, background: Float[Array, "3"], colour: str
) -> Picture:
    """A faded picture under the trails of its objects, which fade with age."""
    lines, ends = ways(tracks, max(0, frame - TRAIL), frame)
    zoom = picture.shape[0] / tracks.canvas[0]
    canvas = Image.new("L", (2 * picture.shape[1], 2 * picture.shape[0]))
    draw = ImageDraw.Draw(canvas)
    for k in np.argsort(ends, kind="stable"):  # the latest on top
        strength = round(255 * (1 - (frame - ends[k]) / TRAIL))
        corners = [tuple(corner) for corner in 2 * zoom * (lines[k] + 0.5)]
        draw.line(corners, fill=strength, width=2 * THICKNESS)
    trail = np.asarray(canvas.reduce(2))[..., None] / 255
    faded = FADED * picture + (1 - FADED) * 255 * background
    mixed = faded + trail * (255 * np.array(to_rgb(colour)) - faded)
    return mixed.round().astype(np.uint8)


def _side_by_side(
    pictures: Sequence[UInt8[Array, "height width 3"]], titles: Sequence[str]
) -> Picture:
    """Pictures of one size beside each other, each with a title, on sides that are even."""
    height, width, _ = pictures[0].shape
    total = len(pictures) * (width + GAP) - GAP + 2
    sheet = Image.new("RGB", (total + total % 2, STRIP + height + 2 + height % 2), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        left = 1 + place * (width + GAP)
        draw.rectangle((left - 1, STRIP, left + width, STRIP + height + 1), outline=RIM)
        sheet.paste(Image.fromarray(picture), (left, STRIP + 1))
        draw.text((left + width / 2, STRIP / 2), title, INK, _font(), anchor="mm")
    return np.asarray(sheet)


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(findfont("DejaVu Sans"), LETTERS)
