"""Pictures of what images look like on the whole: structure factor and one-point histogram."""

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from eqflow.evaluation import ComparedField
from eqflow.metrics import EXTENT, WIDTH, histogram, structure_factor
from eqflow.report.style import BAND, DATA, sheet

DRAWS = 200
"""Resamples of the held-out images behind the band."""


def textures(
    held_out: Float[Tensor, "n channels height width"],
    after: Float[Tensor, "m channels height width"],
    compared: ComparedField,
    time: float,
) -> Figure:
    """Held-out images and those simulated for ``time`` transit times, standardised units.

    The band holds 95 % of the means of as many held-out images as were simulated.
    """
    channels = held_out.shape[1]
    figure = sheet(8.4, 0.3 + 2.6 * channels)
    axes = figure.subplots(channels, 2, squeeze=False)
    after = after[after.flatten(1).isfinite().all(1)]
    for c, (left, right) in enumerate(axes):
        one = slice(c, c + 1)
        _structure(
            left, structure_factor(held_out[:, one]), structure_factor(after[:, one]), compared
        )
        _values(right, histogram(held_out[:, one]), histogram(after[:, one]), compared)
        left.set_ylabel(f"channel {c + 1}: power")
        right.set_ylabel("density of the pixels")
    axes[-1, 0].set_xlabel("waves per side")
    axes[-1, 1].set_xlabel("value, standardised")
    left, right = axes[0]
    left.set_title("Structure factor")
    right.set_title(f"One-point histogram, after {time:g} transit times")
    right.legend()
    return figure


def _structure(axes: Axes, held: Tensor, after: Tensor, compared: ComparedField) -> None:
    waves = np.arange(1.0, held.shape[2])
    _band(axes, waves, held[:, 0, 1:], after[:, 0, 1:], compared)
    mean = held[:, 0, 1:].mean(0)
    axes.set(xscale="log", yscale="log", ylim=(float(mean.max()) * 1e-6, float(mean.max()) * 3))


def _values(axes: Axes, held: Tensor, after: Tensor, compared: ComparedField) -> None:
    centres = np.arange(-EXTENT, EXTENT, WIDTH) + WIDTH / 2
    _band(axes, centres, held[:, 0] / WIDTH, after[:, 0] / WIDTH, compared)
    seen = centres[held[:, 0].mean(0).numpy() > 1e-4]
    axes.set(yscale="log", ylim=(1e-3, None), xlim=(seen[0] - 0.5, seen[-1] + 0.5))


def _band(
    axes: Axes,
    x: Float[np.ndarray, " places"],
    held: Float[Tensor, "n places"],
    after: Float[Tensor, "m places"],
    compared: ComparedField,
) -> None:
    """The mean of the simulated over that of the held-out ones and what resampling makes of it."""
    draw = torch.Generator().manual_seed(0)
    index = torch.randint(len(held), (DRAWS, max(len(after), 1)), generator=draw)
    low, high = held[index].mean(1).quantile(torch.tensor([0.025, 0.975]).double(), dim=0)
    axes.fill_between(x, low, high, color=BAND, label="resampled", zorder=0)
    axes.plot(x, held.mean(0), color=DATA, linewidth=2.5, label="held-out")
    if len(after):
        axes.plot(
            x, after.mean(0), color=compared.look["color"], linewidth=1.2, label=compared.name
        )
