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
from eqflow.report.style import DATA, new_figure, number, percent

Array = np.ndarray

Limits = Sequence[tuple[float, float]]
"""Lower and upper limit of each coordinate."""


def limits_of(states: Float[Array, "n dim"], margin: float = 0.12) -> Limits:
    """Limits of axes that hold all ``states`` but outliers, which would stretch the scale."""
    low, high = np.quantile(states, [0.002, 0.998], axis=0)
    return list(zip(low - margin * (high - low), high + margin * (high - low), strict=True))


def coordinates(dim: int) -> list[str]:
    """Names of the coordinates that are drawn."""
    return list("xyz"[:dim]) if dim <= 3 else ["x₁", "x₂", "x₃"]


def streamlines(
    run: Sequence[ComparedField],
    velocity: Callable[[ComparedField, Float[Array, "n 2"]], Float[Array, "n 2"]],
    states: Callable[[float], Float[Array, "n 2"]],
) -> Figure:
    """Streamlines of two-dimensional fields over held-out states, one panel for each field.

    Arguments:
        run: the fields.
        velocity: ``velocity(compared, x)`` is the raw velocity of a field at raw states ``x``.
        states: ``states(sigma)`` are raw held-out states at a noise level.
    """
    columns, limits = 3, limits_of(states(run[0].sigma))
    rows = -(-len(run) // columns)
    figure = new_figure(9.6, 3.5 * rows)
    for place, compared in enumerate(run, start=1):
        axes = panel(figure.add_subplot(rows, columns, place), limits, "xy")
        points(axes, states(compared.sigma))
        flow_lines(axes, partial(velocity, compared), limits, compared.look["color"])
        axes.set_title(f"{compared.name}\nMMD² / floor95 = {number(compared.ratio)}")
    return figure


def flow_lines(
    axes: Axes,
    velocity: Callable[[Float[Array, "n 2"]], Float[Array, "n 2"]],
    limits: Limits,
    colour: str,
) -> None:
    """Draw the streamlines of a two-dimensional field."""
    grid = np.stack(np.meshgrid(*(np.linspace(*limit, 60) for limit in limits)), axis=-1)
    v = velocity(grid.reshape(-1, 2)).reshape(grid.shape)
    (x, y), (vx, vy) = np.moveaxis(grid, -1, 0), np.moveaxis(v, -1, 0)
    axes.streamplot(x, y, vx, vy, color=colour, linewidth=0.9, arrowsize=0.8)


def points(axes: Axes, states: Float[Array, "n 2"], size: float = 6) -> None:
    """Draw held-out states as grey points."""
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


def projections(portraits: Sequence[Portrait]) -> Figure:
    """Projections of each portrait onto the three coordinate planes, on the limits of the first."""
    states = portraits[0].states
    limits, names = limits_of(states), coordinates(states.shape[1])
    figure = new_figure(8.4, 2.5 * len(portraits))
    rows = figure.subfigures(len(portraits), 1, squeeze=False).flat
    for row, portrait in zip(rows, portraits, strict=True):
        row.suptitle(portrait.title, fontsize=10)
        for place, pair in enumerate(combinations(range(3), 2), start=1):
            axes = row.add_subplot(1, 3, place)
            panel(axes, [limits[i] for i in pair], [names[i] for i in pair])
            points(axes, portrait.states[:, pair], size=3)
            if portrait.path is not None:
                orbits(axes, portrait.path[..., pair], portrait.colour)
    return figure


def orbits(axes: Axes, path: Float[Array, "times runs 2"], colour: str) -> None:
    """Draw trajectories, with dots at their starts."""
    x, y = np.moveaxis(path, -1, 0)
    axes.plot(x, y, color=colour, linewidth=0.7, alpha=0.8)
    axes.plot(x[0], y[0], "o", color=colour, markersize=4)


def distributions(
    before: Float[Array, "n dim"],
    after: Float[Array, "m dim"],
    compared: ComparedField,
    horizon: float,
) -> Figure:
    """Held-out states, states after ``horizon`` transit times of a field, and marginals of both."""
    limits, names = limits_of(before), coordinates(before.shape[1])
    figure, colour = new_figure(7.6, 5.6), compared.look["color"]
    layout = [["before"] * 3 + ["after"] * 3, list(np.repeat(names, 6 // len(names)))]
    axes = figure.subplot_mosaic(layout, height_ratios=[1.7, 1])
    ends = [0, len(names) - 1]
    for place in ("before", "after"):
        panel(axes[place], [limits[i] for i in ends], [names[i] for i in ends])
        points(axes[place], before[:, ends])
    axes["after"].scatter(*after[:, ends].T, s=8, color=colour, alpha=0.7, linewidths=0)
    axes["before"].set_title("held-out\n")
    escaped = percent(compared.escaped(horizon))
    axes["after"].set_title(f"{compared.name} after {horizon:g} transit times\nescaped: {escaped}")
    for i, name in enumerate(names):
        axes[name].set(xlabel=name, xlim=limits[i], yticks=[])
        _marginals(axes[name], before[:, i], after[:, i], limits[i], colour)
    return figure


def _marginals(
    axes: Axes,
    before: Float[Array, " n"],
    after: Float[Array, " m"],
    limit: tuple[float, float],
    colour: str,
) -> None:
    # each state counts 1 / n, so that states outside the limits lower the histogram
    def draw(values: Array, **style: Any) -> float:
        share = np.full(len(values), 1 / len(values))
        style |= {"bins": 40, "range": limit, "weights": share, "histtype": "stepfilled"}
        return np.max(axes.hist(values, **style)[0])

    peak = draw(before, facecolor=(DATA, 0.5))
    top = draw(after, facecolor=(colour, 0.15), edgecolor=colour, linewidth=1.4)
    # a distribution that collapsed leaves the panel instead of flattening the other one
    axes.set_ylim(0, min(1.1 * max(peak, top), 4 * peak))
