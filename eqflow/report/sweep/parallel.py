"""Parallel coordinates: each job is a line through its overrides to its metric."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from eqflow.report.style import DATA, TRUTH, new_figure
from eqflow.report.sweep.comparison import Comparison
from eqflow.report.sweep.scale import BELOW, NONE, Scale, numbers, scale

MANY = 100
"""Lines above which they are drawn thin."""


LONG = 24
"""Letters after which a name or a value is cut."""


BENDS = np.linspace(0, 1, 24)
"""Where a curve between two axes is drawn; straight lines would cross in one point."""


def parallel(sweep: Comparison) -> Figure | None:
    """Lines through the overrides that vary; colour is the metric, grey where it was not measured.

    The height of a line inside a band only says how its metric ranks. Nothing is drawn of fewer
    than two jobs with a metric, or if nothing varies.
    """
    if len(sweep.ranked) < 2 or not sweep.varying:
        return None
    ranked = sweep.ranked[::-1] if sweep.maximise else sweep.ranked
    jobs = [*ranked, *(job for job in sweep.jobs if not isfinite(sweep.value(job)))]
    scales = [scale([job.overrides.get(n, NONE) for job in jobs]) for n in sweep.varying]
    metric = numbers(np.array([sweep.value(job) for job in ranked]))
    most = max(len(axis.ticks) for axis in scales)
    figure = new_figure(max(7.0, 1.7 * (len(scales) + 1)), max(4.0, 0.17 * most))
    axes = figure.add_subplot(xlim=(-0.6, len(scales) + 0.6), ylim=(BELOW - 0.03, 1.02))
    _lines(axes, scales, metric, sweep.maximise)
    for column, (name, one) in enumerate(zip(sweep.varying, scales, strict=True)):
        _axis(axes, column, one, name)
    _colours(axes, len(scales), metric, sweep.metric or "", sweep.maximise)
    axes.axis("off")
    return figure


def _lines(axes: Axes, scales: Sequence[Scale], metric: Scale, maximise: bool) -> None:
    """The best job's line is the last to be drawn, thick and in the darkest colour."""
    measured = len(metric.heights)
    grey = np.array([one.heights[measured:] for one in scales]).T
    axes.add_collection(LineCollection(_curves(grey), colors=DATA, linewidths=0.6, alpha=0.5))
    seen = np.array([*(one.heights[:measured] for one in scales), metric.heights]).T
    order = slice(None) if maximise else slice(None, None, -1)
    width, alpha = (0.7, 0.5) if measured > MANY else (1.3, 0.8)
    colours: dict[str, Any] = {"cmap": _map(maximise), "norm": Normalize(0, 1)}
    lines = LineCollection(_curves(seen[order]), alpha=alpha, **colours)
    lines.set_array(metric.heights[order])
    lines.set_linewidth([*[width] * (measured - 1), 3.0])
    axes.add_collection(lines)


def _map(maximise: bool) -> str:
    """Dark is good: pale lines are those that may be hard to see on white."""
    return "viridis_r" if maximise else "viridis"


def _curves(heights: Float[np.ndarray, "jobs axes"]) -> list[Float[np.ndarray, "points 2"]]:
    """Curves that leave and reach every axis at a right angle."""
    count = heights.shape[1]
    x = (np.arange(count - 1)[:, None] + BENDS).ravel()
    step = BENDS**2 * (3 - 2 * BENDS)
    starts, rises = heights[:, :-1, None], np.diff(heights)[..., None]
    curves = (starts + rises * step).reshape(len(heights), len(x))
    return [np.column_stack([x, y]) for y in curves]


def _axis(axes: Axes, column: int, one: Scale, name: str) -> None:
    """An override's axis: what is written on it must stay readable over the lines."""
    paper = {"boxstyle": "round,pad=0.1", "facecolor": "white", "alpha": 0.85, "linewidth": 0}
    for height, text in one.ticks.items():
        ends = (height - one.band / 2, height + one.band / 2)
        axes.vlines(column, *ends, color=TRUTH, linewidth=3)
        axes.hlines(height, column - 0.03, column, color=TRUTH, linewidth=0.8)
        _write(axes, column - 0.05, height, text, ha="right", va="center", bbox=paper)
    axes.vlines(column, 0, 1, color=TRUTH, linewidth=0.3 if one.band else 0.8)
    _write(axes, column, 1.03, name, ha="center", va="bottom", weight="bold")


def _colours(axes: Axes, column: int, metric: Scale, name: str, maximise: bool) -> None:
    """The metric's axis, which says what the colours mean."""
    edges = np.linspace(0, 1, 65)
    axes.pcolormesh([column, column + 0.08], edges, edges[:-1, None], cmap=_map(maximise))
    for height, text in metric.ticks.items():
        _write(axes, column + 0.12, height, text, ha="left", va="center")
    _write(axes, column, 1.03, name, ha="center", va="bottom", weight="bold")


def _write(axes: Axes, x: float, y: float, text: str, **style: Any) -> None:
    """As it stands: a user's dollar signs are no mathematics."""
    short = text if len(text) <= LONG else f"{text[: LONG - 1]}…"
    axes.text(x, y, short, fontsize=8, parse_math=False, **style)
