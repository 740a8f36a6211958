"""Figures of state space in raw units: streamlines, trajectories, distributions.

States are arrays ``(..., n, dim)``, of which the first three coordinates are drawn.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eqflow.evaluation import ComparedField
from eqflow.report.display import Display
from eqflow.report.style import DATA, WIDTH, new_figure
from eqflow.report.text import number, percent

Array = np.ndarray

Limits = Sequence[tuple[float, float]]
"""Lower and upper limit of each coordinate."""


def limits_of(states: Float[Array, "n dim"], margin: float = 0.12) -> Limits:
    """Limits of axes that hold all ``states`` but outliers, which would stretch the scale."""
    low, high = np.quantile(states, [0.002, 0.998], axis=0)
    return list(zip(low - margin * (high - low), high + margin * (high - low), strict=True))


def streamlines(run: Sequence[ComparedField], display: Display) -> Figure:
    """Streamlines of two-dimensional fields over held-out states, one panel for each field."""
    columns, limits = 2, limits_of(display.states(run[0].sigma))
    rows = -(-len(run) // columns)
    figure = new_figure(WIDTH, 3.0 * rows)
    for place, compared in enumerate(run, start=1):
        axes = panel(figure.add_subplot(rows, columns, place), limits, display.coordinates)
        dots(axes, display.states(compared.sigma))
        flow_lines(axes, partial(display.velocity, compared), limits, compared.look["color"])
        axes.set_title(f"{compared.name}\nMMD² / floor95 = {number(compared.ratio)}")
    return figure


def flow_lines(axes: Axes, velocity: Callable[[Array], Array], limits: Limits, colour: str) -> None:
    """Draw the streamlines of a two-dimensional field, a map of raw states to raw velocities."""
    grid = np.stack(np.meshgrid(*(np.linspace(*limit, 60) for limit in limits)), axis=-1)
    v = velocity(grid.reshape(-1, 2)).reshape(grid.shape)
    (x, y), (vx, vy) = np.moveaxis(grid, -1, 0), np.moveaxis(v, -1, 0)
    axes.streamplot(x, y, vx, vy, color=colour, linewidth=0.9, arrowsize=0.8)


def dots(axes: Axes, states: Float[Array, "n 2"], size: float = 6) -> None:
    """Draw held-out states as grey dots."""
    x, y = states.T
    axes.scatter(x, y, s=size, color=DATA, alpha=0.5, linewidths=0)


def panel(axes: Axes, limits: Limits, names: Sequence[str]) -> Axes:
    """Set the limits and names of two coordinates; returns ``axes``."""
    axes.set(xlim=limits[0], ylim=limits[1], xlabel=names[0], ylabel=names[1])
    axes.grid(False)
    return axes


class Portrait(NamedTuple):
    """Held-out states and, unless ``path`` is None, trajectories over them."""

    title: str
    states: Float[Array, "n dim"]
    path: Float[Array, "times runs dim"] | None = None
    colour: str = DATA


def projections(portraits: Sequence[Portrait], names: Sequence[str]) -> Figure:
    """Projections of each portrait onto the three coordinate planes, on the limits of the first."""
    limits = limits_of(portraits[0].states)
    figure = new_figure(WIDTH, 2.2 * len(portraits))
    rows = figure.subfigures(len(portraits), 1, squeeze=False).flat
    for row, portrait in zip(rows, portraits, strict=True):
        row.suptitle(portrait.title, fontsize=10)
        for place, pair in enumerate(combinations(range(3), 2), start=1):
            axes = row.add_subplot(1, 3, place)
            panel(axes, [limits[i] for i in pair], [names[i] for i in pair])
            dots(axes, portrait.states[:, pair], size=3)
            if portrait.path is not None:
                orbits(axes, portrait.path[..., pair], portrait.colour)
    return figure


def orbits(axes: Axes, path: Float[Array, "times runs 2"], colour: str) -> None:
    """Draw trajectories, with dots at their starts."""
    x, y = np.moveaxis(path, -1, 0)
    axes.plot(x, y, color=colour, linewidth=0.7, alpha=0.8)
    axes.plot(x[0], y[0], "o", color=colour, markersize=4)


def distributions(compared: ComparedField, display: Display) -> Figure:
    """Held-out states, states after the last horizon of a field, and marginals of both."""
    horizon, colour = max(compared.ratios), compared.look["color"]
    before = display.states(compared.sigma)
    after = display.after(compared, horizon)
    limits, names = limits_of(before), display.coordinates
    places = [f"{i}" for i in range(len(names))]
    layout = [["before"] * 3 + ["after"] * 3, list(np.repeat(places, 6 // len(names)))]
    figure, ends = new_figure(WIDTH, 4.8), [0, len(names) - 1]
    axes = figure.subplot_mosaic(layout, height_ratios=[1.7, 1])
    for place in ("before", "after"):
        panel(axes[place], [limits[i] for i in ends], [names[i] for i in ends])
        dots(axes[place], before[:, ends])
    x, y = after[:, ends].T
    axes["after"].scatter(x, y, s=8, color=colour, alpha=0.7, linewidths=0)
    axes["before"].set_title("held-out\n")
    escaped = percent(compared.escaped(horizon))
    axes["after"].set_title(f"{compared.name} after {horizon:g} transit times\nescaped: {escaped}")
    outline = {"facecolor": (colour, 0.15), "edgecolor": colour, "linewidth": 1.4}
    for i, place in enumerate(places):
        axes[place].set(xlabel=names[i], xlim=limits[i], yticks=[])
        peak = _marginal(axes[place], before[:, i], limits[i], facecolor=(DATA, 0.5))
        top = _marginal(axes[place], after[:, i], limits[i], **outline)
        # a distribution that collapsed leaves the panel instead of flattening the other one
        axes[place].set_ylim(0, min(1.1 * max(peak, top), 4 * peak))
    return figure


def _marginal(
    axes: Axes, values: Float[Array, " n"], limit: tuple[float, float], **style: Any
) -> float:
    """Draw a histogram; returns the height of its highest bin."""
    # each state counts 1 / n, so that states outside the limits lower the histogram
    style |= {"bins": 40, "range": limit, "weights": np.full(len(values), 1 / len(values))}
    return np.max(axes.hist(values, histtype="stepfilled", **style)[0])
