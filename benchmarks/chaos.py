"""Lyapunov exponents of known systems against independent runs and against published values.

    python benchmarks/chaos.py [--published] [--out outputs/chaos]

First five systems: the exponents of ``eqflow.metrics.growth`` beside those of a run that shares
nothing with it, one orbit and its variational equation with a Jacobian by hand, DOP853 to 1e-10.
With ``--published`` also the largest exponents of the systems of dysts beside the estimates that
come with it; where they are more than 15 % apart a third opinion is taken: two neighbouring orbits,
DOP853 to 1e-10, brought near each other again and again. Finished rows are read back from
``--out``, so that an interrupted run goes on.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np  # noqa: E402
import torch  # noqa: E402
from scipy.integrate import solve_ivp  # noqa: E402
from torch import Tensor  # noqa: E402

from eqflow.errors import InputError  # noqa: E402
from eqflow.metrics import LyapunovSpectrum, growth  # noqa: E402
from eqflow.store import write_json  # noqa: E402
from eqflow.systems import Dysts, Lorenz63  # noqa: E402
from eqflow.systems.dysts import names  # noqa: E402

TRAJECTORIES = 32
MIN_GAP = 0.15
"""Relative difference from a published exponent that asks for a third opinion."""

PERIODS, SETTLE, STEP = 60.0, 20.0, 0.0025
"""Of the trajectories of systems of dysts, in periods: steps of .01 leave Lorenz84 no chaos."""

# batches of states, for eqflow


def rossler(x: Tensor) -> Tensor:
    x, y, z = x.unbind(1)
    return torch.stack([-y - z, x + 0.2 * y, 0.2 + z * (x - 5.7)], 1)


def halvorsen(x: Tensor) -> Tensor:
    ahead, behind = x.roll(-1, 1), x.roll(-2, 1)
    return -1.4 * x - 4 * ahead - 4 * behind - ahead.square()


def thomas(x: Tensor) -> Tensor:
    return x.roll(-1, 1).sin() - 0.185 * x


def lorenz96(x: Tensor) -> Tensor:
    return (x.roll(-1, 1) - x.roll(2, 1)) * x.roll(1, 1) - x + 8


# one state and its Jacobian by hand, for the independent run


def lorenz_by_hand(s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y, z = s
    v = np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])
    return v, np.array([[-10, 10, 0], [28 - z, -1, -x], [y, x, -8 / 3]])


def rossler_by_hand(s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y, z = s
    v = np.array([-y - z, x + 0.2 * y, 0.2 + z * (x - 5.7)])
    return v, np.array([[0, -1, -1], [1, 0.2, 0], [z, 0, x - 5.7]])


def halvorsen_by_hand(s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y, z = s
    a = 1.4
    v = np.array(
        [
            -a * x - 4 * y - 4 * z - y * y,
            -a * y - 4 * z - 4 * x - z * z,
            -a * z - 4 * x - 4 * y - x * x,
        ]
    )
    return v, np.array([[-a, -4 - 2 * y, -4], [-4, -a, -4 - 2 * z], [-4 - 2 * x, -4, -a]])


def thomas_by_hand(s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y, z = s
    b = 0.185
    v = np.array([np.sin(y) - b * x, np.sin(z) - b * y, np.sin(x) - b * z])
    return v, np.array([[-b, np.cos(y), 0], [0, -b, np.cos(z)], [np.cos(x), 0, -b]])


def lorenz96_by_hand(s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n = len(s)
    v, jacobian = np.empty(n), -np.eye(n)
    for i in range(n):
        after, before, second = (i + 1) % n, i - 1, i - 2
        v[i] = (s[after] - s[second]) * s[before] - s[i] + 8
        jacobian[i, after] += s[before]
        jacobian[i, second] -= s[before]
        jacobian[i, before] += s[after] - s[second]
    return v, jacobian


class Case(NamedTuple):
    """A system in both forms; the orbit of ``start`` is followed for ``time`` units of time.

    ``dt`` is the step of eqflow, ``every`` the time between two orthonormalisations of the other.
    """

    velocity: Callable[[Tensor], Tensor]
    by_hand: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    start: list[float]
    time: float
    dt: float
    every: float


CASES = {
    "Lorenz-63": Case(Lorenz63().velocity, lorenz_by_hand, [1.0, 2.0, 20.0], 1500, 0.01, 0.5),
    "Rossler": Case(rossler, rossler_by_hand, [1.0, 1.0, 0.0], 12000, 0.02, 2.0),
    "Halvorsen": Case(halvorsen, halvorsen_by_hand, [-1.5, -1.5, 2.0], 6000, 0.01, 0.5),
    "Thomas": Case(thomas, thomas_by_hand, [0.9, 0.1, -0.3], 64000, 0.1, 5.0),
    "Lorenz-96 (d = 10)": Case(lorenz96, lorenz96_by_hand, [8.0] * 9 + [8.5], 6000, 0.01, 0.5),
}


def ours(case: Case) -> dict[str, Any]:
    """Exponents and their errors from trajectories beside each other, as long in total."""
    draw = torch.Generator().manual_seed(0)
    start = torch.tensor(case.start, dtype=torch.double)
    noise = torch.randn(TRAJECTORIES, len(start), generator=draw, dtype=torch.double)
    each = 2 * case.time / TRAJECTORIES
    return _spectrum(case.velocity, start + 0.1 * noise, each, each / 2, case.dt)


def _spectrum(velocity: Callable[[Tensor], Tensor], x0: Tensor, *times: float) -> dict[str, Any]:
    metric = LyapunovSpectrum()
    metric.update(growth(velocity, x0, *times))
    return {name: value.tolist() for name, value in metric.compute().items()}


def independent(case: Case) -> dict[str, list[float]]:
    """Exponents along one orbit, and their standard errors from twenty successive parts of it."""
    dim = len(case.start)

    def both(_: float, y: np.ndarray) -> np.ndarray:
        v, jacobian = case.by_hand(y[:dim])
        return np.concatenate([v, (jacobian @ y[dim:].reshape(dim, dim)).ravel()])

    rates, state = [], np.concatenate([case.start, np.eye(dim).ravel()])
    for _ in range(round(1.1 * case.time / case.every)):
        state = _advanced(both, state, case.every)
        q, r = np.linalg.qr(state[dim:].reshape(dim, dim))
        rates.append(np.log(np.abs(np.diag(r))) / case.every)
        state = np.concatenate([state[:dim], q.ravel()])
    kept = np.array(rates[len(rates) // 11 :])
    parts = np.array([part.mean(0) for part in np.array_split(kept, 20)])
    return {"exponents": kept.mean(0).tolist(), "errors": (parts.std(0) / 20**0.5).tolist()}


def _advanced(
    f: Callable[[float, np.ndarray], np.ndarray], y: np.ndarray, time: float
) -> np.ndarray:
    solution = solve_ivp(f, (0, time), y, method="DOP853", rtol=1e-10, atol=1e-10)
    if solution.status:
        raise RuntimeError(solution.message)
    return solution.y[:, -1]


def five(name: str) -> dict[str, Any]:
    """A row of the first table."""
    started = time.process_time()
    row = {"system": name, "ours": ours(CASES[name])}
    return row | {"seconds": time.process_time() - started, "theirs": independent(CASES[name])}


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

    found = _spectrum(velocity, (states - mean) / std, PERIODS, SETTLE, STEP)
    largest, error = (found[key][0] / period for key in ("exponents", "errors"))
    row = {"system": name, "published": estimate, "ours": largest, "error": error}
    row |= {"escaped": found["escaped"], "ratio": largest / estimate}
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
    parts = np.array([part.mean() for part in np.array_split(rates[40:], 20)])
    return parts.mean(), parts.std() / 20**0.5


def rows(out: Path, kind: Callable[[str], dict[str, Any]], systems: list[str]) -> list[dict]:
    """Rows that are there, or made now."""
    made = []
    for name in systems:
        path = out / kind.__name__ / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            try:
                write_json(path, row := kind(name))
            except (InputError, RuntimeError) as error:
                print(f"{name}: {error}", flush=True)
                continue
            print(name, row, flush=True)
        made.append(json.loads(path.read_text()))
    return made


def _written(found: dict[str, list[float]]) -> str:
    pairs = zip(found["exponents"], found["errors"], strict=True)
    return ", ".join(f"{rate:.4f} ± {error:.4f}" for rate, error in list(pairs)[:3])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--systems", nargs="*", help="of dysts; all by default")
    parser.add_argument("--out", type=Path, default=Path("outputs/chaos"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    print("| system | eqflow | independent | largest apart | CPU s |\n|---|---|---|---|---|")
    for row in rows(args.out, five, list(CASES)):
        ratio = row["ours"]["exponents"][0] / row["theirs"]["exponents"][0] - 1
        print(
            f"| {row['system']} | {_written(row['ours'])} | {_written(row['theirs'])} "
            f"| {100 * ratio:+.1f} % | {row['seconds']:.0f} |"
        )
    if not args.published:
        return
    systems = rows(args.out, published, args.systems or names())
    print("| system | published | eqflow | ratio | third |\n|---|---|---|---|---|")
    for row in systems:
        third = f"{row['third']:.4g} ± {row['third_error']:.1g}" if "third" in row else ""
        print(
            f"| {row['system']} | {row['published']:.4g} | {row['ours']:.4g} ± {row['error']:.1g} "
            f"| {row['ratio']:.2f} | {third} |"
        )
    agree = sum("third" not in row for row in systems)
    print(f"{agree} of {len(systems)} within {100 * MIN_GAP:.0f} % of the published value")


if __name__ == "__main__":
    main()
