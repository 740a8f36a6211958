"""Rows of frames, and films, of images in motion: one channel on one colour scale, or pictures.

States are arrays ``(..., channels, height, width)`` in raw units.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from eqflow.report.film import write_film
from eqflow.report.style import new_figure

SHOWN_CHANNEL = -1
"""Index of the channel that is shown."""

COLOUR_MAP = colormaps["viridis"]
"""Colours from low to high values."""

PANEL_SIDE = 320
"""Smallest length of the shorter side of a film's panel, in pixels."""

Array = np.ndarray


class ImageSequence(NamedTuple):
    """Images of one trajectory and what they are of."""

    title: str
    images: Float[Array, "times channels height width"]


def colour_scale(states: Float[Array, "n channels height width"]) -> Normalize:
    """Colour scale that holds nearly all values of the shown channel of ``states``."""
    low, high = np.quantile(states[:, SHOWN_CHANNEL], (0.001, 0.999))
    return Normalize(low, high, clip=True)


def frame_rows(
    sequences: Sequence[ImageSequence], times: Sequence[float], scale: Normalize | None
) -> Figure:
    """Images at ``times``, in transit times, one row for each sequence; see :func:`coloured`."""
    figure = new_figure(1.0 * len(times) + 0.8, 1.2 * len(sequences) + 0.3)
    axes = figure.subplots(len(sequences), len(times), squeeze=False)
    for sequence, row in zip(sequences, axes, strict=True):
        row[0].set_ylabel(sequence.title)
        for panel, image in zip(row, sequence.images, strict=True):
            values = _finite(image[SHOWN_CHANNEL]) if scale else coloured(image, scale)
            panel.imshow(values, norm=scale, cmap=COLOUR_MAP)
            panel.set(xticks=[], yticks=[])
            panel.spines[["top", "right"]].set_visible(scale is None)  # pictures may be white
            panel.grid(visible=False)
    for panel, time in zip(axes[0], times, strict=True):
        panel.set_title(f"after {time:g}")
    if scale:
        shown, channel = ScalarMappable(scale, COLOUR_MAP), SHOWN_CHANNEL % len(image) + 1
        figure.colorbar(shown, ax=axes, shrink=0.8, label=f"channel {channel}")
    return figure


def film(
    path: Path,
    panels: Sequence[Float[Array, "times channels height width"]],
    scale: Normalize | None,
) -> Path:
    """Write a film of the panels side by side; returns ``path``."""
    return write_film(path, np.concatenate([_pixels(images, scale) for images in panels], axis=2))


def _pixels(
    images: Float[Array, "times channels height width"], scale: Normalize | None
) -> UInt8[Array, "times tall wide 3"]:
    """Coloured images, enlarged by a whole number, with a white margin to even sides."""
    zoom = max(1, -(-PANEL_SIDE // min(images.shape[-2:])))
    large = coloured(images, scale).repeat(zoom, axis=1).repeat(zoom, axis=2)
    margins = [(2, 2 + side % 2) for side in large.shape[1:3]]
    return np.pad(large, [(0, 0), *margins, (0, 0)], constant_values=255)


def coloured(
    images: Float[Array, "*n channels height width"], scale: Normalize | None
) -> UInt8[Array, "*n height width 3"]:
    """One channel on a colour scale; without a scale, the channels as red, green and blue."""
    if scale is None:
        return np.round(255 * np.moveaxis(_finite(images), -3, -1).clip(0, 1)).astype(np.uint8)
    return COLOUR_MAP(scale(_finite(images[..., SHOWN_CHANNEL, :, :])), bytes=True)[..., :3]


def _finite(values: Array) -> Array:
    """Values with those that are not finite at an end of the colour scale."""
    return np.nan_to_num(values, nan=1e30, posinf=1e30, neginf=-1e30)
