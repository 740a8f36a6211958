"""Pictures of images that move: strips of frames and films, one channel on one colour scale.

Arrays of states are ``(..., C, H, W)`` in raw units.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import imageio_ffmpeg
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from eqflow.report.style import sheet
from eqflow.runtime import replacing

CHANNEL = -1
"""Which channel is shown."""


COLOUR_MAP = colormaps["viridis"]
"""From low to high values."""


FPS, SIDE, RATE = 15, 320, "1200k"
"""Of films: frames and bits in a second, and pixels of the shorter side of a panel at least."""


Array = np.ndarray


class Strip(NamedTuple):
    """A row of frames and what it shows."""

    title: str
    frames: Float[Array, "times channels height width"]


def norm_of(states: Float[Array, "n channels height width"]) -> Normalize:
    """The colour scale that all pictures of a run share: that of the held-out states."""
    low, high = np.quantile(states[:, CHANNEL], (0.001, 0.999))
    return Normalize(low, high, clip=True)


def strips(rows: Sequence[Strip], times: Sequence[float], norm: Normalize) -> Figure:
    """Frames of every row at ``times``, in transit times."""
    figure = sheet(1.75 * len(times) + 0.9, 1.95 * len(rows))
    axes = figure.subplots(len(rows), len(times), squeeze=False)
    for row, panels in zip(rows, axes, strict=True):
        panels[0].set_ylabel(row.title)
        for axis, frame, time in zip(panels, row.frames, times, strict=True):
            shown = axis.imshow(_finite(frame[CHANNEL]), norm=norm, cmap=COLOUR_MAP)
            axis.set(xticks=[], yticks=[], title=f"after {time:g}" if row is rows[0] else "")
            axis.grid(visible=False)
    figure.colorbar(
        shown, ax=axes, shrink=0.8, label=f"channel {CHANNEL % row.frames.shape[1] + 1}"
    )
    return figure


def film(
    path: Path, panels: Sequence[Float[Array, "times channels height width"]], norm: Normalize
) -> Path:
    """Write a film (MP4, H.264) of the panels beside each other; returns ``path``."""
    pictures = np.concatenate([_pixels(frames, norm) for frames in panels], axis=2)
    _, height, width, _ = pictures.shape
    options = ["-maxrate", RATE, "-bufsize", RATE, "-movflags", "+faststart", "-f", "mp4"]
    with replacing(path) as temporary:
        writer = imageio_ffmpeg.write_frames(
            temporary,
            (width, height),
            fps=FPS,
            codec="libx264",
            pix_fmt_out="yuv420p",
            quality=None,
            macro_block_size=2,
            output_params=["-crf", "26", *options],
        )
        writer.send(None)
        for picture in pictures:
            writer.send(np.ascontiguousarray(picture))
        writer.close()
    return path


def _pixels(
    frames: Float[Array, "times channels height width"], norm: Normalize
) -> UInt8[Array, "times tall wide 3"]:
    """Coloured, enlarged by whole numbers, with a margin, on even sides."""
    zoom = max(1, -(-SIDE // min(frames.shape[-2:])))
    colours = COLOUR_MAP(norm(_finite(frames[:, CHANNEL])), bytes=True)[..., :3]
    large = colours.repeat(zoom, axis=1).repeat(zoom, axis=2)
    tall, wide = (4 + n + n % 2 for n in large.shape[1:3])
    pad = [(2, tall - large.shape[1] - 2), (2, wide - large.shape[2] - 2)]
    return np.pad(large, [(0, 0), *pad, (0, 0)], constant_values=255)


def _finite(values: Array) -> Array:
    """What has left every bound is drawn at the end of the scale."""
    return np.nan_to_num(values, nan=1e30, posinf=1e30, neginf=-1e30)
