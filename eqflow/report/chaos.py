"""Chaos of a run's field beside that of the true system: a table and a figure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eqflow.evaluation import ComparedField, Numbers, field_growth, step, true_growth
from eqflow.metrics import Growth, autocorrelation, return_map
from eqflow.report.display import Display
from eqflow.report.portraits import coordinates
from eqflow.report.style import TRUTH, number, percent, sheet

LARGEST = "chaos/lyapunov_max"


HEADINGS = [
    "field",
    "largest exponent λ₁",
    "all exponents",
    "sum",
    "λ₁ / |λ_d|",
    "Kaplan-Yorke dimension",
    "chaotic trajectories",
    "escaped",
]


SPAN, RUNS, LAGS = 200.0, 12, 15.0
"""Transit times and number of the trajectories of the lower panels; longest lag."""


EACH = 0.05
"""Transit times between two states of them."""


def table(run: Sequence[ComparedField]) -> tuple[list[str], list[list[str]]] | None:
    """Headings and rows: one row per field, the true system last."""
    rows = [_row(e.name, e.numbers) for e in run if "chaos/escaped" in e.numbers]
    if not rows:
        return None
    truth = {
        n.removeprefix("truth/"): v for n, v in run[0].numbers.items() if n.startswith("truth/")
    }
    if LARGEST in truth:
        rows.append(_row("true system", truth))
    return HEADINGS, rows


def _row(name: str, numbers: Numbers) -> list[str]:
    def cell(key: str) -> str:
        return number(numbers.get(f"chaos/{key}"))

    spectrum = [numbers[key] for key in (LARGEST, *_further(numbers)) if key in numbers]
    error = numbers.get(f"{LARGEST}_error")
    return [
        name,
        cell("lyapunov_max") + (f" ± {error:.1g}" if error else ""),
        ", ".join(number(value, 2) for value in spectrum) or number(None),
        cell("lyapunov_sum"),
        cell("lyapunov_ratio"),
        cell("kaplan_yorke"),
        percent(numbers.get("chaos/positive")),
        percent(numbers.get("chaos/escaped")),
    ]


def _further(numbers: Numbers) -> list[str]:
    """Names of the second exponent and those below, in order."""
    names = (f"chaos/lyapunov_{k}" for k in range(2, len(numbers)))
    return [name for name in names if name in numbers]


class Curve(NamedTuple):
    """A field or the true system: how tangents grow along it, and a coordinate over time."""

    name: str
    growth: Growth
    series: Float[np.ndarray, "times runs"]
    style: dict[str, Any]


def figure(run: Sequence[ComparedField], display: Display) -> Figure | None:
    """Running exponents, return map and autocorrelation of the own field, laws and the truth."""
    curves = _curves(run, display)
    if not curves:
        return None
    drawn, axis = sheet(8.6, 6.4), coordinates(run[0].field.dim)[-1]
    axes = [drawn.add_subplot(2, 2, place) for place in range(1, 5)]
    _largest(axes[0], curves)
    _spectrum(axes[1], curves)
    _return_map(axes[2], curves, axis)
    _autocorrelation(axes[3], curves, axis)
    handles, labels = axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return drawn


def _curves(run: Sequence[ComparedField], display: Display) -> list[Curve]:
    """Of what was measured: growth is remembered, not measured again."""
    dt, times, curves = step(display.integrator), torch.arange(0, SPAN, EACH), []
    for compared in (e for e in run if (e.own or e.findings) and LARGEST in e.numbers):
        found = field_growth(compared.field, compared.reference, dt)
        series = display.path(compared, times, RUNS)[..., :3][..., -1]
        style = {"color": compared.look["color"], "linewidth": 2.0 if compared.own else 1.4}
        curves.append(Curve(compared.name, found, series, style))
    if not curves:
        return []
    truth, path = true_growth(run[0].reference, dt), display.true_path(times, RUNS)
    if truth and path is not None:
        dark = {"color": TRUTH, "linewidth": 1.4, "linestyle": "--"}
        curves.append(Curve("true system", truth, path[..., :3][..., -1], dark))
    return curves


def _running(growth: Growth) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, mean exponents over trajectories that stayed and their standard errors."""
    running = growth.running[:, growth.rates.isfinite().all(2).all(0)].cpu()
    times = growth.window * np.arange(1, len(running) + 1)
    error = running.std(1) / running.shape[1] ** 0.5
    return times, running.mean(1).numpy(), error.numpy()


def _largest(axes: Axes, curves: Sequence[Curve]) -> None:
    axes.set(title="largest exponent, by the end of", xlabel="transit times", xscale="log")
    axes.axhline(0, color=TRUTH, linewidth=0.8)
    for curve in curves:
        times, mean, error = _running(curve.growth)
        low, high = mean[:, 0] - 2 * error[:, 0], mean[:, 0] + 2 * error[:, 0]
        axes.fill_between(times, low, high, color=curve.style["color"], alpha=0.15, linewidth=0)
        axes.plot(times, mean[:, 0], label=curve.name, **curve.style)
    start = max(curves[0].growth.transient, curves[0].growth.window)
    shear = np.log1p(times / start) / times
    axes.plot(times, shear, color="#7F7F7F", linestyle=":", label="a shear: no chaos")
    axes.xaxis.set_major_formatter("{x:g}")


def _spectrum(axes: Axes, curves: Sequence[Curve]) -> None:
    axes.set(title="all exponents, by the end of", xlabel="transit times", xscale="log")
    for curve in curves:
        times, mean, _ = _running(curve.growth)
        axes.plot(times, mean, **curve.style)
    axes.xaxis.set_major_formatter("{x:g}")


def _return_map(axes: Axes, curves: Sequence[Curve], axis: str) -> None:
    axes.set(title=f"successive maxima of {axis}", xlabel="a maximum", ylabel="the next one")
    for curve in curves:
        pairs = return_map(curve.series)
        axes.scatter(
            pairs[:, 0], pairs[:, 1], s=5, color=curve.style["color"], linewidths=0, alpha=0.6
        )


def _autocorrelation(axes: Axes, curves: Sequence[Curve], axis: str) -> None:
    axes.set(title=f"autocorrelation of {axis}", xlabel="lag in transit times", ylim=(-1.05, 1.05))
    axes.axhline(0, color=TRUTH, linewidth=0.8)
    lags = EACH * np.arange(round(LAGS / EACH))
    for curve in curves:
        axes.plot(lags, autocorrelation(curve.series, len(lags)), **curve.style)
