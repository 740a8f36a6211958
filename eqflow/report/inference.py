"""Pictures of how far the data decide a law: spectrum, selection, predicted velocity."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from eqflow.discovery import ACCEPTANCE_LEVEL
from eqflow.evaluation import Numbers
from eqflow.report.equations import Law
from eqflow.report.style import BAND, TRUTH, chance, logarithmic, new_figure, number

Array = np.ndarray


COORDINATES = 6
"""Dimensions up to which the predicted velocity is drawn."""


SMALL = 0.01
"""Effect size up to which its scale is linear."""


def spectrum(law: Law) -> Figure:
    """Statistic per moment of successive orthogonal fields; those that pass the test are full."""
    found, figure = law.findings, new_figure(7.6, 3.2)
    axes = figure.add_subplot(
        xlabel="fields, each orthogonal to those before it", ylabel="statistic per moment"
    )
    axes.set_title(f"dimension of the solution space: {found.dimension}; gap: {number(found.gap)}")
    noise = max(1 - 2 * found.error, 0.1), 1 + 2 * found.error
    axes.axhspan(*noise, color=BAND, zorder=0, label="sampling noise, 1 ± 2 standard errors")
    ranks = range(1, len(found.spectrum) + 1)
    kept = [rank <= found.dimension for rank in ranks]
    _points(axes, law, ranks, found.spectrum, kept, ("passes the held-out test", "rejected"))
    axes.set_xticks(ranks)
    logarithmic(axes, [*found.spectrum, *noise])
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


def _points(
    axes: Axes,
    law: Law,
    x: Sequence[float],
    y: Sequence[float],
    full: Sequence[bool],
    labels: tuple[str, str],
) -> None:
    """Markers that are full where ``full`` says so; ``labels`` say what both kinds mean."""
    style: dict[str, Any] = law.entry.look | {"linestyle": "none", "markersize": 7}
    for kind, label, fill in zip((True, False), labels, ("full", "none"), strict=True):
        points = [(a, b) for a, b, is_full in zip(x, y, full, strict=True) if is_full == kind]
        if points:
            axes.plot(*zip(*points, strict=True), fillstyle=fill, label=label, **style)


def selection(law: Law) -> Figure:
    """Held-out effect size of each degree tried, and the rise of the statistic by elimination."""
    figure = new_figure(8.4, 3.5)
    _degrees(figure.add_subplot(1, 2, 1), law)
    _elimination(figure.add_subplot(1, 2, 2), law)
    return figure


def _degrees(axes: Axes, law: Law) -> None:
    tried = sorted(law.findings.degrees, key=lambda row: row["degree"])
    degrees, effects = ([row[name] for row in tried] for name in ("degree", "effect_size"))
    axes.axhline(0, color=TRUTH, linewidth=0.8, zorder=1)
    accepted = [row["p_value"] >= ACCEPTANCE_LEVEL for row in tried]
    _points(axes, law, degrees, effects, accepted, ("accepted", "rejected"))
    axes.set(title="Degrees tried", ylabel="effect size on held-out snapshots")
    axes.set(xlim=(degrees[0] - 0.7, degrees[-1] + 0.7), xlabel="degree, terms kept, p-value")
    axes.set_xticks(degrees, [_tick(row) for row in tried])
    axes.set_yscale("symlog", linthresh=SMALL)
    axes.set_ylim(min(-3 * SMALL, 3 * min(effects)), max(10 * SMALL, 3 * max(effects)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(loc="best", frameon=True)  # or it would read as one more law


def _tick(row: Numbers) -> str:
    """A degree, the size of its law and the law's test."""
    return f"{row['degree']:g}\n{row['terms']:g} of {row['unknowns']:g}\n{chance(row['p_value'])}"


def _elimination(axes: Axes, law: Law) -> None:
    """From the full library at the left to one term at the right."""
    left, rises = ([step[name] for step in law.findings.path] for name in ("terms", "rise"))
    axes.set(xlabel="terms left", ylabel="rise of the statistic", title="Elimination of terms")
    axes.set_yscale("symlog", linthresh=1)
    axes.plot(left, rises, ".-", color=law.entry.look["color"])
    axes.axvline(law.size, color=TRUTH, linestyle="--", label=f"chosen: {law.size} terms")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.invert_xaxis()
    axes.legend(loc="best")


def predicted(
    law: Law, velocity: Float[Array, "n dim"], truth: Float[Array, "n dim"], names: Sequence[str]
) -> Figure:
    """Predicted against true velocity at held-out states, one panel for each coordinate."""
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = new_figure(2.8 * columns, 0.4 + 2.7 * rows)
    cosine = number(law.entry.numbers["truth/cos"])
    figure.suptitle(f"{law.entry.name} against the truth, |cos| = {cosine}", fontsize=10)
    for j, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, j + 1, title=f"d{name}/dt", aspect="equal")
        axes.axline((0, 0), slope=1, color=TRUTH, linewidth=0.8, zorder=1)
        axes.scatter(truth[:, j], velocity[:, j], s=7, color=law.entry.look["color"], linewidths=0)
        axes.set(xlabel="true", ylabel="predicted")
    return figure
