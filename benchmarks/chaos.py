"""Lyapunov exponents of known systems against independent runs and against published values.

    python benchmarks/chaos.py [--published] [--out outputs/chaos]

First five systems: the exponents of ``eqflow.metrics.growth`` beside those of a run that shares
only the equations with it, one orbit and its variational equation with a Jacobian by SymPy, DOP853
to 1e-10.
With ``--published`` also the largest exponents of the systems of dysts (``--systems``, all by
default) beside the estimates that come with it; where they are more than 15 % apart a third opinion
is taken: two neighbouring orbits, DOP853 to 1e-10, brought near each other again and again.
Finished rows are read back from ``--out``, so that an interrupted run goes on.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import harness
import numpy as np
import sympy
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from eqflow.errors import InputError
from eqflow.metrics import LyapunovSpectrum, growth
from eqflow.systems import Dysts, names

TRAJECTORIES = 32
MIN_GAP = 0.15
"""Relative difference from a published exponent that asks for a third opinion."""

PERIODS, SETTLE, STEP = 60.0, 20.0, 0.0025
"""Of the trajectories of systems of dysts, in periods: steps of .01 leave Lorenz84 no chaos."""

Components = Sequence[Any]
"""Of a state: tensors of many states for eqflow, symbols for the independent run."""


def lorenz(s: Components) -> Components:
    x, y, z = s
    return 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z


def rossler(s: Components) -> Components:
    x, y, z = s
    return -y - z, x + 0.2 * y, 0.2 + z * (x - 5.7)


def halvorsen(s: Components) -> Components:
    return [-1.4 * s[i] - 4 * s[i - 2] - 4 * s[i - 1] - s[i - 2] ** 2 for i in range(3)]


def thomas(s: Components) -> Components:
    sin = torch.sin if isinstance(s[0], Tensor) else sympy.sin
    return [sin(s[i - 2]) - 0.185 * s[i] for i in range(3)]


def lorenz96(s: Components) -> Components:
    return [(s[i - len(s) + 1] - s[i - 2]) * s[i - 1] - s[i] + 8 for i in range(len(s))]


class Case(NamedTuple):
    """A system; the orbit of ``start`` is followed for ``time`` units of time.

    ``dt`` is the step of eqflow, ``every`` the time between two orthonormalisations of the other.
    """

    system: Callable[[Components], Components]
    start: list[float]
    time: float
    dt: float
    every: float

    def velocity(self, x: Tensor) -> Tensor:
        return torch.stack([*self.system(x.unbind(1))], 1)


CASES = {
    "Lorenz-63": Case(lorenz, [1.0, 2.0, 20.0], 1500, 0.01, 0.5),
    "Rossler": Case(rossler, [1.0, 1.0, 0.0], 12000, 0.02, 2.0),
    "Halvorsen": Case(halvorsen, [-1.5, -1.5, 2.0], 6000, 0.01, 0.5),
    "Thomas": Case(thomas, [0.9, 0.1, -0.3], 64000, 0.1, 5.0),
    "Lorenz-96 (d = 10)": Case(lorenz96, [8.0] * 9 + [8.5], 6000, 0.01, 0.5),
}


def ours(case: Case) -> dict[str, Any]:
    """Exponents and their errors from trajectories beside each other, as long in total."""
    draw = torch.Generator().manual_seed(0)
    start = torch.tensor(case.start, dtype=torch.double)
    noise = torch.randn(TRAJECTORIES, len(start), generator=draw, dtype=torch.double)
    span = 2 * case.time / TRAJECTORIES
    return _spectrum(case.velocity, start + 0.1 * noise, span, span / 2, case.dt)


def _spectrum(velocity: Callable[[Tensor], Tensor], x0: Tensor, *times: float) -> dict[str, Any]:
    metric = LyapunovSpectrum()
    metric.update(growth(velocity, x0, *times))
    return {name: value.tolist() for name, value in metric.compute().items()}


def independent(case: Case) -> dict[str, list[float]]:
    """Exponents along one orbit, and their standard errors from twenty successive parts of it."""
    dim = len(case.start)
    symbols = sympy.symbols(f"x:{dim}")
    v = sympy.Matrix(case.system(symbols))
    form = sympy.lambdify([symbols], v.row_join(v.jacobian(symbols)))

    def both(_: float, y: np.ndarray) -> np.ndarray:
        values = form(y[:dim])
        return np.concatenate([values[:, 0], (values[:, 1:] @ y[dim:].reshape(dim, dim)).ravel()])

    rates, state = [], np.concatenate([case.start, np.eye(dim).ravel()])
    for _ in range(round(1.1 * case.time / case.every)):
        state = _advanced(both, state, case.every)
        q, r = np.linalg.qr(state[dim:].reshape(dim, dim))
        rates.append(np.log(np.abs(np.diag(r))) / case.every)
        state = np.concatenate([state[:dim], q.ravel()])
    mean, error = _mean_and_error(rates[len(rates) // 11 :])
    return {"exponents": mean.tolist(), "errors": error.tolist()}


def _mean_and_error(rates: list) -> tuple[np.ndarray, np.ndarray]:
    """Of successive rates; the standard error is that of the means of twenty parts of them."""
    parts = np.array([part.mean(0) for part in np.array_split(np.array(rates), 20)])
    return np.mean(rates, 0), parts.std(0) / 20**0.5


def _advanced(
    f: Callable[[float, np.ndarray], np.ndarray], y: np.ndarray, time: float
) -> np.ndarray:
    solution = solve_ivp(f, (0, time), y, method="DOP853", rtol=1e-10, atol=1e-10)
    if solution.status:
        raise RuntimeError(solution.message)
    return solution.y[:, -1]


def five(name: str) -> dict[str, Any]:
    """A row of the first table."""
    exponents, seconds = harness.timed(partial(ours, CASES[name]))
    return {"ours": exponents, "seconds": seconds, "theirs": independent(CASES[name])}


# the systems of dysts, in standard deviations and periods


def published(name: str) -> dict[str, Any]:
    """A row of the second table; a third opinion where it is needed."""
    system = Dysts(name)
    estimate = system.exponent
    if estimate is None:
        raise InputError("dysts gives no exponent")
    states = system.sample(TRAJECTORIES, 0, runs=TRAJECTORIES, transient=20.0).states
    mean, std, period = states.mean(0), states.std(0), system.period

    def velocity(z: Tensor) -> Tensor:
        return system.velocity(mean + std * z) * period / std

    spectrum = _spectrum(velocity, (states - mean) / std, PERIODS, SETTLE, STEP)
    largest, error = (spectrum[key][0] / period for key in ("exponents", "errors"))
    row = {"published": estimate, "ours": largest, "error": error}
    row |= {"escaped": spectrum["escaped"], "ratio": largest / estimate}
    if not abs(row["ratio"] - 1) < MIN_GAP:
        row["third"], row["third_error"] = (rate / period for rate in neighbours(system, states))
    return row


def neighbours(
    system: Dysts, states: Tensor, distance: float = 1e-6, every: float = 0.5
) -> tuple[float, float]:
    """Largest exponent in inverse periods from the distance of two orbits, and its error."""
    dim, mean, std = states.shape[1], states.mean(0), states.std(0)

    def both(_: float, y: np.ndarray) -> np.ndarray:
        x = mean + std * torch.from_numpy(y.reshape(2, dim))
        return (system.values(x) * system.period / std).numpy().ravel()

    first = ((states[0] - mean) / std).numpy()
    step, rates = np.full(dim, distance / dim**0.5), []
    for _ in range(440):
        first, second = _advanced(both, np.concatenate([first, first + step]), every).reshape(2, -1)
        size = np.linalg.norm(second - first)
        rates.append(np.log(size / distance) / every)
        step = (second - first) * distance / size
    mean, error = _mean_and_error(rates[40:])
    return mean.item(), error.item()


def rows(
    out: Path, kind: Callable[[str], dict[str, Any]], systems: list[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Systems and their rows, read from files or made now."""
    for name in systems:
        if row := harness.kept(out / kind.__name__ / f"{name}.json", partial(kind, name)):
            yield name, row


def _written(spectrum: dict[str, list[float]]) -> str:
    pairs = zip(spectrum["exponents"][:3], spectrum["errors"], strict=False)
    return ", ".join(f"{rate:.4f} ± {error:.4f}" for rate, error in pairs)


if __name__ == "__main__":
    asked = harness.options(__doc__, published=False, systems=[str], out=Path("outputs/chaos"))
    torch.set_grad_enabled(False)
    harness.heading("system", "eqflow", "independent", "largest apart", "CPU s")
    for name, row in rows(asked.out, five, list(CASES)):
        apart = row["ours"]["exponents"][0] / row["theirs"]["exponents"][0] - 1
        spectra = _written(row["ours"]), _written(row["theirs"])
        harness.row(name, *spectra, f"{100 * apart:+.1f} %", f"{row['seconds']:.0f}")
    if asked.published:
        harness.heading("system", "published", "eqflow", "ratio", "third")
        thirds = []
        for name, row in rows(asked.out, published, asked.systems or names()):
            third = f"{row['third']:.4g} ± {row['third_error']:.1g}" if "third" in row else ""
            own = f"{row['ours']:.4g} ± {row['error']:.1g}"
            harness.row(name, f"{row['published']:.4g}", own, f"{row['ratio']:.2f}", third)
            thirds.append(third)
        agree = f"{thirds.count('')} of {len(thirds)}"
        print(f"{agree} within {100 * MIN_GAP:.0f} % of the published value")
