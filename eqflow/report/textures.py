"""Figure of the textures of simulated and held-out images: structure factor and histogram."""

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from eqflow.evaluation import ComparedField
from eqflow.metrics import BIN_WIDTH, HISTOGRAM_EXTENT, histogram, structure_factor
from eqflow.report.display import Display
from eqflow.report.style import BAND, DATA, WIDTH, new_figure
from eqflow.report.text import transit_times

RESAMPLES = 200
"""Bootstrap samples of the held-out images that the band is taken from."""


def textures(
    compared: ComparedField,
    display: Display,
    images: Float[np.ndarray, "n channels height width"],
    time: float,
) -> Figure:
    """Structure factor and one-point histogram, one row for each channel, standardised units.

    Of held-out images and of raw ``images`` after the transit times ``time`` of a field, those that
    escaped left out. The band holds 95 % of the means of as many resampled held-out images.
    """
    standard = display.snapshots.standardiser.standard
    held_out, after = (
        standard(torch.as_tensor(x)) for x in (display.states(compared.sigma), images)
    )
    channels = held_out.shape[1]
    figure = new_figure(WIDTH, 0.3 + 2.5 * channels)
    axes = figure.subplots(channels, 2, squeeze=False)
    after = after[after.flatten(1).isfinite().all(1)]
    for c, (left, right) in enumerate(axes):
        channel = held_out[:, c : c + 1], after[:, c : c + 1]
        _structure(left, channel, compared)
        _values(right, channel, compared)
        left.set_ylabel(f"channel {c + 1}: power")
        right.set_ylabel("density of the pixels")
    axes[-1, 0].set_xlabel("waves per side")
    axes[-1, 1].set_xlabel("value, standardised")
    axes[0, 0].set_title("Structure factor")
    axes[0, 1].set_title(f"Histogram after {transit_times(time)}")
    axes[0, 1].legend()
    return figure


def _structure(axes: Axes, channel: tuple[Tensor, Tensor], compared: ComparedField) -> None:
    held_out, after = (structure_factor(images)[:, 0, 1:] for images in channel)
    _band(axes, np.arange(1.0, held_out.shape[1] + 1), held_out, after, compared)
    peak = float(held_out.mean(0).max())
    axes.set(xscale="log", yscale="log", ylim=(peak * 1e-6, peak * 3))


def _values(axes: Axes, channel: tuple[Tensor, Tensor], compared: ComparedField) -> None:
    held_out, after = (histogram(images)[:, 0] for images in channel)
    centres = np.arange(-HISTOGRAM_EXTENT, HISTOGRAM_EXTENT, BIN_WIDTH) + BIN_WIDTH / 2
    _band(axes, centres, held_out / BIN_WIDTH, after / BIN_WIDTH, compared)
    seen = centres[held_out.mean(0).numpy() > 1e-4]
    axes.set(yscale="log", ylim=(1e-3, None), xlim=(seen[0] - 0.5, seen[-1] + 0.5))


def _band(
    axes: Axes,
    x: Float[np.ndarray, " places"],
    held_out: Float[Tensor, "n places"],
    after: Float[Tensor, "m places"],
    compared: ComparedField,
) -> None:
    """Draw the mean over simulated images, that over held-out ones and the band of resamples."""
    draw = torch.Generator().manual_seed(0)
    index = torch.randint(len(held_out), (RESAMPLES, max(len(after), 1)), generator=draw)
    low, high = held_out[index].mean(1).quantile(torch.tensor([0.025, 0.975]).double(), dim=0)
    axes.fill_between(x, low, high, color=BAND, label="resampled", zorder=0)
    axes.plot(x, held_out.mean(0), color=DATA, linewidth=2.5, label="held-out")
    if len(after):
        colour = compared.look["color"]
        axes.plot(x, after.mean(0), color=colour, linewidth=1.2, label=compared.name)
