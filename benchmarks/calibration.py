"""Does the test of stationarity hold its level, and what does it notice?

    python benchmarks/calibration.py            # share of true fields rejected at 5 %
    python benchmarks/calibration.py --images   # the same for patterns, grouped by run
    python benchmarks/calibration.py --power    # share of slightly wrong fields rejected at 5 %

Level: the true velocity at fresh states of the distribution that it keeps, with new test functions
each time, `--repeats` times. Snapshots are independent or ten of one run. Where their moments agree
within a run, leaving out the groups must show (the slow Gaussian); along orbits of the field itself
moments are derivatives of bounded functions, cancel, and leaving out the groups makes the test
timid instead (Lorenz).

Images: `--per-run` of each run from the time `--settle` on, 500 units of time apart. Sets of some
of the `--runs` of `--preset` are drawn for each number of runs in `--sizes`, `--repeats` of them,
with `FUNCTION_SETS` sets of test functions in turn; a row for each Euler step `--dt` and size. Sets
share runs: the errors hold while a set is a small part of the runs.

Power: at `--size` snapshots of systems of dysts, the true velocity plus a share of a random
quadratic field that is orthogonal to it, `--fields` of them for each of `--shares`. Shares are in
rms. All seeds follow from `--seed`.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, product
from math import sqrt
from typing import NamedTuple

import harness
import torch
from torch import Tensor
from tqdm import tqdm

from eqflow.data import Standardiser
from eqflow.stationarity import (
    FourierFunctions,
    Stationarity,
    functions_for,
    hotelling,
    moment_weights,
    zero_mean_test,
)
from eqflow.systems import Dysts, GrayScott, Lorenz63, Schedule
from eqflow.terms import Polynomial

LEVEL = 0.05
SIZES = (2_000, 20_000)
RUN = 10  # states of one run, where they are grouped
SIDE = 48  # of images; on smaller grids the patterns of most presets die out
FUNCTION_SETS = 4  # of test functions for images, whose moments cost more than tests
SYSTEMS = ["Chen", "Finance", "Hadley", "Halvorsen", "Lorenz", "LuChen", "Rossler", "Rucklidge"]
SYSTEMS += [f"Sprott{letter}" for letter in "BCDEFGH"]


class Case(NamedTuple):
    """A field, states to take scales from, and sets of fresh states that the field keeps.

    ``groups`` numbers the runs that the states of a set belong to.
    """

    velocity: Callable[[Tensor], Tensor]
    reference: Tensor
    sets: Iterator[Tensor]
    groups: Tensor | None = None


def sprott_a(x: Tensor) -> Tensor:
    """A field that keeps the standard normal distribution."""
    x, y, z = x.unbind(1)
    return torch.stack([y, y * z - x, 1 - y * y], 1)


def normal(n: int, draw: torch.Generator) -> Tensor:
    return torch.randn(n, 3, generator=draw, dtype=torch.double)


# the distributions


def gaussian(n: int, repeats: int, seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    reference = normal(20_000, draw)
    return Case(sprott_a, reference, (normal(n, draw) for _ in range(repeats)))


def slow_gaussian(n: int, repeats: int, seed: int, keep: float = 0.9) -> Case:
    """Runs of a linear stochastic system that forgets a tenth of its state from one to the next."""
    draw = torch.Generator().manual_seed(seed)

    def run() -> Tensor:
        states = [normal(n // RUN, draw)]
        for _ in range(RUN - 1):
            states.append(keep * states[-1] + sqrt(1 - keep**2) * normal(n // RUN, draw))
        return torch.cat(states)

    reference = normal(20_000, draw)
    return Case(sprott_a, reference, (run() for _ in range(repeats)), runs_of(n))


def runs_of(n: int) -> Tensor:
    return torch.arange(n // RUN).repeat(RUN)


def lorenz(n: int, repeats: int, seed: int) -> Case:
    """Every state of a set is of another run; sets are a time unit apart."""
    sets = lorenz_pool(repeats, n, seed, every=1.0)
    return Case(Lorenz63().velocity, lorenz_reference(seed), iter(sets))


def lorenz_runs(n: int, repeats: int, seed: int) -> Case:
    """States 0.1 time units apart; sets are a time unit apart."""
    pool = lorenz_pool(2 * RUN * repeats, n // RUN, seed, every=0.1)
    sets = pool.view(repeats, 2 * RUN, n // RUN, 3)[:, :RUN].flatten(1, 2)
    return Case(Lorenz63().velocity, lorenz_reference(seed), iter(sets), runs_of(n))


def lorenz_pool(times: int, runs: int, seed: int, every: float) -> Tensor:
    # states near the unstable equilibria leave as exp(-0.19 t): 20 time units are too few here
    states = Lorenz63().sample(times * runs, seed, runs=runs, transient=60.0, every=every)[0]
    return states.view(times, runs, 3)


def lorenz_reference(seed: int) -> Tensor:
    return lorenz_pool(10, 2_000, seed + 1, every=1.0).flatten(0, 1)


def patterns(preset: str, runs: int, seed: int, schedule: Schedule) -> list[Tensor]:
    """Moments of the true velocity at the images of every run, for each set of test functions."""
    system, count = GrayScott(preset), runs * schedule.per_run
    x = system.sample(count, seed, (SIDE, SIDE), schedule).states.double()
    units = Standardiser.of(x)
    z, v = units.standard(x), system.velocity(x) / units.std
    drawn = tqdm([functions_for(z, seed + k) for k in range(FUNCTION_SETS)], preset)
    moments = [functions.moments(v, z) * moment_weights(functions) for functions in drawn]
    return [h.unflatten(0, (runs, -1)) for h in moments]


# the tables


def level(repeats: int, seed: int) -> None:
    """A row a distribution and size, and one more where the test is not told of the groups."""
    harness.heading("distribution", "snapshots", "groups", "rank", "rejected at 5 %")
    cases = {
        "SprottA, normal": gaussian,
        "SprottA, slow normal": slow_gaussian,
        "Lorenz": lorenz,
        "Lorenz, runs": lorenz_runs,
    }
    for (name, make), n in product(cases.items(), SIZES):
        case = make(n, repeats, seed)
        choices = {"": None}
        if case.groups is not None:
            choices = {len(case.groups.unique()): case.groups, "not given": None}
        tests = [
            [tested(case, x, groups, seed + k) for groups in choices.values()]
            for k, x in enumerate(case.sets)
        ]
        for groups, results in zip(choices, zip(*tests, strict=True), strict=True):
            harness.row(name, n, groups, results[0].rank, share(results))


def image_level(
    preset: str, runs: int, sizes: list[int], schedules: list[Schedule], repeats: int, seed: int
) -> None:
    """A row a length of an Euler step and a number of runs."""
    harness.heading("pattern", "step", "runs", "rank", "rejected at 5 %")
    draw = torch.Generator().manual_seed(seed)
    for schedule in schedules:
        moments = patterns(preset, runs, seed, schedule)
        for size in sizes:
            sets = (torch.randperm(runs, generator=draw)[:size] for _ in range(repeats))
            groups = torch.arange(size).repeat_interleave(schedule.per_run)
            tests = [
                zero_mean_test(h[chosen].flatten(0, 1), groups)
                for h, chosen in zip(cycle(moments), sets, strict=False)
            ]
            harness.row(preset, schedule.dt, size, tests[0].rank, share(tests))


def tested(case: Case, x: Tensor, groups: Tensor | None, seed: int) -> Stationarity:
    units = Standardiser.of(case.reference)
    functions = functions_for(units.standard(case.reference), seed)
    return hotelling(case.velocity(x) / units.std, units.standard(x), functions, groups)


def share(results: Sequence[Stationarity]) -> str:
    """Per cent rejected, with its binomial standard error."""
    p = rejected(results) / len(results)
    return f"{100 * p:.1f} ± {100 * sqrt(p * (1 - p) / len(results)):.1f} %"


def rejected(results: Sequence[Stationarity]) -> int:
    return sum(test.p_value < LEVEL for test in results)


def power(size: int, shares: list[float], fields: int, seed: int) -> None:
    """A row a system, a column a share."""
    harness.heading("system", "p, true field", *(f"{100 * s:g} %" for s in shares))
    columns: list[list[Stationarity]] = [[] for _ in shares]
    for name in SYSTEMS:
        true, wrong = noticed(Dysts(name), size, shares, fields, seed)
        harness.row(name, f"{true.p_value:.3f}", *(f"{rejected(w)}/{fields}" for w in wrong))
        columns = [done + new for done, new in zip(columns, wrong, strict=True)]
    harness.row("all", "", *map(share, columns))


def noticed(
    system: Dysts, size: int, shares: list[float], fields: int, seed: int
) -> tuple[Stationarity, list[list[Stationarity]]]:
    """Tests of the true field, and of several wrong ones for each share."""
    x = system.sample(2 * size, seed).states
    units = Standardiser.of(x[size:])
    z, v = units.standard(x[:size]), system.velocity(x[:size]) / units.std
    functions = FourierFunctions.of(units.standard(x[size:]), seed=seed)
    others = [orthogonal(v, z, seed + k) for k in range(fields)]
    wrong = [[hotelling(v + s * w, z, functions) for w in others] for s in shares]
    return hotelling(v, z, functions), wrong


def orthogonal(v: Tensor, z: Tensor, seed: int) -> Tensor:
    """A random quadratic field as large as ``v`` and orthogonal to it."""
    theta = Polynomial(z.shape[1], 2)(z)
    theta = theta / theta.square().mean(0).sqrt()
    w = theta @ torch.randn(
        theta.shape[1], 3, generator=torch.Generator().manual_seed(seed), dtype=torch.double
    )
    w = w - v * (v * w).sum() / v.square().sum()
    return w * (v.norm() / w.norm())


if __name__ == "__main__":
    images = {"images": False, "preset": "chaos", "runs": 400, "dt": [0.25, 1.0]}
    images |= {"sizes": [14, 28, 60, 120], "per_run": 2, "settle": 10_000.0}
    wrong = {"power": False, "size": 20_000, "shares": [0.05, 0.01], "fields": 5}
    asked = harness.options(__doc__, repeats=400, seed=0, **images, **wrong)
    if asked.images:
        schedules = [Schedule(asked.settle, asked.per_run, dt=dt) for dt in asked.dt]
        image_level(asked.preset, asked.runs, asked.sizes, schedules, asked.repeats, asked.seed)
    elif asked.power:
        power(asked.size, asked.shares, asked.fields, asked.seed)
    else:
        level(asked.repeats, asked.seed)
