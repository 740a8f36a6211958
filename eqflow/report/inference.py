"""Figures of how far snapshots determine equations: spectrum, selection, predicted velocity."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from eqflow.discovery import ACCEPTANCE_LEVEL
from eqflow.evaluation import Numbers
from eqflow.report.equations import FittedEquations
from eqflow.report.style import BAND, TRUTH, WIDTH, logarithmic, new_figure
from eqflow.report.text import as_label, chance, number

Array = np.ndarray


MAX_PREDICTED_DIM = 6
"""Largest dimension of which the predicted velocity is drawn."""


LINEAR_EFFECT_SIZE = 0.01
"""Effect size up to which the axis is linear."""


def spectrum(fitted: FittedEquations) -> Figure:
    """Statistic per moment of successive orthogonal fields; those that pass the test are full."""
    findings, figure = fitted.findings, new_figure(WIDTH, 3.7)
    axes = figure.add_subplot(
        xlabel="fields, each orthogonal to those before it", ylabel="statistic per moment"
    )
    axes.set_title(
        f"dimension of the solution space: {findings.dimension}; gap: {number(findings.gap)}"
    )
    noise = max(1 - 2 * findings.error, 0.1), 1 + 2 * findings.error
    axes.axhspan(*noise, color=BAND, zorder=0, label="sampling noise, 1 ± 2 standard errors")
    ranks = range(1, len(findings.spectrum) + 1)
    kept = [rank <= findings.dimension for rank in ranks]
    _points(axes, fitted, ranks, findings.spectrum, kept, ("passes the held-out test", "rejected"))
    axes.set_xticks(ranks)
    logarithmic(axes, [*findings.spectrum, *noise])
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _points(
    axes: Axes,
    fitted: FittedEquations,
    x: Sequence[float],
    y: Sequence[float],
    full: Sequence[bool],
    labels: tuple[str, str],
) -> None:
    """Draw markers, full where ``full`` says so, with a label for the full and the hollow ones."""
    style: dict[str, Any] = fitted.compared.look | {"linestyle": "none", "markersize": 7}
    for kind, label, fill in zip((True, False), labels, ("full", "none"), strict=True):
        points = [(a, b) for a, b, is_full in zip(x, y, full, strict=True) if is_full == kind]
        if points:
            axes.plot(*zip(*points, strict=True), fillstyle=fill, label=label, **style)


def selection(fitted: FittedEquations) -> Figure:
    """Held-out effect size of each degree tried, and the rise of the statistic by elimination."""
    figure = new_figure(WIDTH, 6.0)
    _degrees(figure.add_subplot(2, 1, 1), fitted)
    _elimination(figure.add_subplot(2, 1, 2), fitted)
    return figure


def _degrees(axes: Axes, fitted: FittedEquations) -> None:
    tried = sorted(fitted.findings.degrees, key=lambda row: row["degree"])
    degrees, effects = ([row[name] for row in tried] for name in ("degree", "effect_size"))
    axes.axhline(0, color=TRUTH, linewidth=0.8, zorder=1)
    accepted = [row["p_value"] >= ACCEPTANCE_LEVEL for row in tried]
    _points(axes, fitted, degrees, effects, accepted, ("accepted", "rejected"))
    axes.set(title="Degrees tried", ylabel="effect size on held-out snapshots")
    axes.set(xlim=(degrees[0] - 0.7, degrees[-1] + 0.7), xlabel="degree, terms kept, p-value")
    axes.set_xticks(degrees, [_tick(row) for row in tried])
    axes.set_yscale("symlog", linthresh=LINEAR_EFFECT_SIZE)
    axes.set_ylim(
        min(-3 * LINEAR_EFFECT_SIZE, 3 * min(effects)),
        max(10 * LINEAR_EFFECT_SIZE, 3 * max(effects)),
    )
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(loc="best", frameon=True)  # without a frame it would read as another degree


def _tick(row: Numbers) -> str:
    """Label of a degree: the degree, the terms that are left of the library, the p-value."""
    return f"{row['degree']:g}\n{row['terms']:g} of {row['unknowns']:g}\n{chance(row['p_value'])}"


def _elimination(axes: Axes, fitted: FittedEquations) -> None:
    """Draw the rise of the statistic, from the full library to a single term."""
    left, rises = ([step[name] for step in fitted.findings.path] for name in ("terms", "rise"))
    axes.set(xlabel="terms left", ylabel="rise of the statistic", title="Elimination of terms")
    axes.set_yscale("symlog", linthresh=1)
    axes.plot(left, rises, ".-", color=fitted.compared.look["color"])
    axes.axvline(fitted.size, color=TRUTH, linestyle="--", label=f"chosen: {fitted.size} terms")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.invert_xaxis()
    axes.legend(loc="best")


def predicted(
    fitted: FittedEquations, velocity: Float[Array, "n dim"], truth: Float[Array, "n dim"]
) -> Figure:
    """Predicted against true standardised velocity, with a panel for each coordinate."""
    rates = fitted.equations.rates
    columns = min(len(rates), 3)
    rows = -(-len(rates) // columns)
    figure = new_figure(WIDTH / 3 * columns, 0.4 + 2.1 * rows)
    cosine = number(fitted.compared.numbers["truth/cos"])
    figure.suptitle(f"{fitted.compared.name} against the truth, |cos| = {cosine}", fontsize=10)
    for j, rate in enumerate(rates):
        axes = figure.add_subplot(rows, columns, j + 1, title=as_label(rate), aspect="equal")
        axes.axline((0, 0), slope=1, color=TRUTH, linewidth=0.8, zorder=1)
        axes.scatter(
            truth[:, j], velocity[:, j], s=7, color=fitted.compared.look["color"], linewidths=0
        )
        axes.set(xlabel="true", ylabel="predicted")
    return figure
