"""Chaos of a run's fields and of the true system: a table of exponents and a figure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eqflow.evaluation import ComparedField, Numbers, step, true_growth
from eqflow.metrics import Growth, autocorrelation, return_map
from eqflow.report.display import Display
from eqflow.report.style import TRUTH, WIDTH, new_figure
from eqflow.report.text import number, percent

LARGEST_EXPONENT = "chaos/lyapunov_max"
"""Measure: the largest Lyapunov exponent."""

LONGEST_LAG = 15.0
"""Longest lag of the autocorrelation, in transit times."""


def table(run: Sequence[ComparedField]) -> tuple[list[str], list[list[str]]] | None:
    """Headings and rows of exponents, one row for each field and one for the true system.

    None where chaos was not measured.
    """
    rows = [_row(e.name, e.numbers) for e in run if "chaos/escaped" in e.numbers]
    if not rows:
        return None
    measured = run[0].numbers.items()
    truth = {n.removeprefix("truth/"): value for n, value in measured if n.startswith("truth/")}
    if LARGEST_EXPONENT in truth:
        rows.append(_row("true system", truth))
    return list(rows[0]), [list(row.values()) for row in rows]


def _row(name: str, numbers: Numbers) -> dict[str, str]:
    """Heading -> cell of the table."""

    def cell(measure: str) -> str:
        return number(numbers.get(f"chaos/{measure}"))

    below = (f"chaos/lyapunov_{k}" for k in range(2, len(numbers)))
    exponents = [numbers[key] for key in (LARGEST_EXPONENT, *below) if key in numbers]
    error = numbers.get(f"{LARGEST_EXPONENT}_error")
    return {
        "field": name,
        "largest exponent λ₁": cell("lyapunov_max") + (f" ± {error:.1g}" if error else ""),
        "all exponents": ", ".join(number(e, 2) for e in exponents) or number(None),
        "sum": cell("lyapunov_sum"),
        "λ₁ / |λ_d|": cell("lyapunov_ratio"),
        "Kaplan-Yorke dimension": cell("kaplan_yorke"),
        "chaotic trajectories": percent(numbers.get("chaos/positive")),
        "escaped": percent(numbers.get("chaos/escaped")),
    }


class Dynamics(NamedTuple):
    """Trajectories of a field or of the true system: tangent growth and one coordinate of them."""

    name: str
    growth: Growth
    series: Float[np.ndarray, "times runs"]
    style: dict[str, Any]


def figure(run: Sequence[ComparedField], display: Display) -> Figure | None:
    """Running Lyapunov exponents, return map and autocorrelation.

    Of the run's own field, of equations beside it and of the true system. None where their
    exponents were not measured.
    """
    dynamics = _dynamics(run, display)
    if not dynamics:
        return None
    figure, coordinate = new_figure(WIDTH, 5.4), display.coordinates[-1]
    upper, lower = figure.subplots(2, 2)
    _largest(upper[0], dynamics)
    _spectrum(upper[1], dynamics)
    _return_map(lower[0], dynamics, coordinate)
    _autocorrelation(lower[1], dynamics, coordinate)
    handles, labels = upper[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


def _dynamics(run: Sequence[ComparedField], display: Display) -> list[Dynamics]:
    """Those whose exponents were measured, as they were."""
    dynamics = []
    for compared in run:
        if (compared.own or compared.findings) and LARGEST_EXPONENT in compared.numbers:
            growth = compared.reference.growths[compared.field]
            style = {"color": compared.look["color"], "linewidth": 2.0 if compared.own else 1.4}
            series = _series(growth, compared.sigma, display)
            dynamics.append(Dynamics(compared.name, growth, series, style))
    if not dynamics:
        return []
    truth = true_growth(run[0].reference, step(display.integrator))
    if truth:
        style = {"color": TRUTH, "linewidth": 1.4, "linestyle": "--"}
        dynamics.append(Dynamics("true system", truth, _series(truth, 0.0, display), style))
    return dynamics


def _series(growth: Growth, sigma: float, display: Display) -> Float[np.ndarray, "times runs"]:
    """Last of the coordinates that are drawn, along the trajectories that did not escape."""
    states = display.denoised(growth.states[:, growth.stayed], sigma)
    return display.raw(states)[..., len(display.coordinates) - 1]


def _running(growth: Growth) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times; exponents until then, mean over trajectories that stayed; their standard errors."""
    running = growth.running[:, growth.stayed].cpu()
    times = growth.window * np.arange(1, len(running) + 1)
    error = running.std(1) / running.shape[1] ** 0.5
    return times, running.mean(1).numpy(), error.numpy()


def _largest(axes: Axes, dynamics: Sequence[Dynamics]) -> None:
    axes.set(title="largest exponent, by the end of", xlabel="transit times", xscale="log")
    axes.axhline(0, color=TRUTH, linewidth=0.8)
    for shown in dynamics:
        times, mean, error = _running(shown.growth)
        low, high = mean[:, 0] - 2 * error[:, 0], mean[:, 0] + 2 * error[:, 0]
        axes.fill_between(times, low, high, color=shown.style["color"], alpha=0.15, linewidth=0)
        axes.plot(times, mean[:, 0], label=shown.name, **shown.style)
    start = max(dynamics[0].growth.transient, dynamics[0].growth.window)
    shear = np.log1p(times / start) / times
    axes.plot(times, shear, color="#7F7F7F", linestyle=":", label="a shear: no chaos")
    axes.xaxis.set_major_formatter("{x:g}")


def _spectrum(axes: Axes, dynamics: Sequence[Dynamics]) -> None:
    axes.set(title="all exponents, by the end of", xlabel="transit times", xscale="log")
    for shown in dynamics:
        times, mean, _ = _running(shown.growth)
        axes.plot(times, mean, **shown.style)
    axes.xaxis.set_major_formatter("{x:g}")


def _return_map(axes: Axes, dynamics: Sequence[Dynamics], coordinate: str) -> None:
    title = f"successive maxima of {coordinate}"
    axes.set(title=title, xlabel="a maximum", ylabel="the next one")
    for shown in dynamics:
        x, y = return_map(shown.series).T
        axes.scatter(x, y, s=5, color=shown.style["color"], linewidths=0, alpha=0.6)


def _autocorrelation(axes: Axes, dynamics: Sequence[Dynamics], coordinate: str) -> None:
    title = f"autocorrelation of {coordinate}"
    axes.set(title=title, xlabel="lag in transit times", ylim=(-1.05, 1.05))
    axes.axhline(0, color=TRUTH, linewidth=0.8)
    for shown in dynamics:
        dt, states = shown.growth.dt, len(shown.series)
        lags = min(round(LONGEST_LAG / dt), states // 2)
        axes.plot(dt * np.arange(lags), autocorrelation(shown.series, lags), **shown.style)
