"""The SDE as a sampler: what a velocity adds to Langevin dynamics at equal cost.

    python benchmarks/sampling.py
    python benchmarks/sampling.py --systems ring --seeds 0 --steps 8000 --jsonl rows.jsonl

`dx = (v + eta s) dt + sqrt(2 eta) dW` keeps one distribution for every v that keeps it; `none` is
v = 0. Only the ratio of eta to the speed of v matters: to scale v is to scale 1 / eta, and the best
eta is the best speed. skew and stream (principle smooth) share a conservative score; a library is
fitted to the clean snapshots, its score is the empirical one at the same sigma, as in
`EquilibriumFlow.sample`, and it is compared with v = 0 on that score. Costs are evaluations of
score and field: 2 a step of Heun, 4 with a field that is not made of the score alone (skew is), and
CPU seconds. `--jsonl` takes the rows; `--quick` trains for a moment only, to try the script.
"""

import time
from functools import partial
from itertools import product
from operator import itemgetter
from pathlib import Path
from statistics import median

import harness
import numpy as np
import torch
from harness import spread
from torch import Tensor

from data_modules import Lorenz, Ring, TwoMoons
from eqflow.estimator import EquilibriumFlow
from eqflow.evaluation import Protocol, Reference
from eqflow.fields import build_field
from eqflow.metrics import integrated_autocorrelation_time, mmd2
from eqflow.runtime import Draws, normal
from eqflow.simulate import HeunSDE
from eqflow.training import noised_batches

STATES, FEWER, SIGMA = 8_000, 1_000, 0.2
"""Snapshots, those of the empirical score, whose evaluation sees all of them, and their noise."""

CHAINS, WALKERS = 128, 500
"""Chains whose correlations are measured, and chains that start from one snapshot."""

LONGEST, DIFFUSED = 0.1, 0.04
"""Steps of the SDE: dt and eta dt at most, the first in transit times."""

CHECKED = (0.3, 1.0)
"""Strengths of the noise at which the step is halved and doubled, the second for v = 0."""

BUDGETS = (100, 400)
"""Evaluations after which walkers are compared with held-out states."""

DATA = {"two_moons": TwoMoons, "ring": Ring, "lorenz": Lorenz}
POLYNOMIAL = ("ring", "lorenz")
"""Systems that polynomial equations describe."""

EVALUATIONS = {"none": 2, "skew": 2, "stream": 4, "none, empirical": 2, "library": 4}
"""Of score and field in a step of Heun; a skew field is made of the score that is there."""

BASES = dict.fromkeys(("none", "skew", "stream"), "none")
BASES |= dict.fromkeys(("none, empirical", "library"), "none, empirical")
"""What each is compared with."""


def upper_moon(raw: Tensor) -> Tensor:
    """Whether states are nearer to the upper than to the lower half circle."""
    angle = torch.linspace(0, torch.pi, 100, dtype=raw.dtype)
    arc = torch.stack([angle.cos(), angle.sin()], 1)
    lower = torch.tensor([1.0, 0.5], dtype=raw.dtype) - arc
    return (torch.cdist(raw, arc).amin(1) < torch.cdist(raw, lower).amin(1)).to(raw.dtype)


SIDES = {"two_moons": upper_moon, "lorenz": lambda raw: (raw[:, 0] > 0).to(raw.dtype)}
"""An indicator of one part of the distribution, of raw states: a moon, a wing."""


class Case:
    """A system's snapshots of one seed, and the fields on them with their scores."""

    def __init__(self, system: str, seed: int, quick: bool) -> None:
        data = harness.prepared(DATA[system](n=STATES, val=100, test=2000, seed=seed))
        self.system, self.seed, self.snapshots = system, seed, data
        train, (score_steps, flow_steps) = data.train, (40, 20) if quick else (1000, 300)

        def fitted(family: str, n: int = STATES, **training: dict) -> EquilibriumFlow:
            raw = data.standardiser.raw(train[:n])
            return EquilibriumFlow(family, SIGMA, seed, **training).fit(raw)

        flow = {"steps": flow_steps, "principle": "smooth"}
        stream = fitted("stream", score_training={"steps": score_steps}, flow_training=flow).model
        skew = build_field("skew", data.shape, stream.score, SIGMA, seed)
        skew.normalise_(noised_batches(train, SIGMA))
        score = partial(stream.score, sigma=SIGMA)
        fields = {"none": torch.zeros_like, "skew": skew, "stream": stream.field}
        self.samplers = {name: (field, score) for name, field in fields.items()}
        if system in POLYNOMIAL:
            library = fitted("library", FEWER).model
            empirical = partial(library.score, sigma=SIGMA)
            self.samplers["none, empirical"] = (torch.zeros_like, empirical)
            self.samplers["library"] = (library.field, empirical)

    def simulate(self, sampler: tuple, x0: Tensor, dt: float, eta: float, steps: int) -> Tensor:
        """States after every step."""
        velocity, score = sampler
        times = dt * torch.arange(steps + 1, dtype=torch.double)
        noise = partial(normal, x0, len(x0), self.seed, Draws.SIMULATION)
        return HeunSDE(dt, eta)(velocity, x0, times, score, noise)

    def observables(self, path: Tensor) -> dict[str, Tensor]:
        """Of states ``(times, chains, d)``: ``(times, chains)`` each."""
        series = dict(zip("xyz", path.unbind(2), strict=False)) | {"r2": path.square().sum(2)}
        if self.system in SIDES:
            raw = self.snapshots.standardiser.raw(path.flatten(0, 1))
            series["side"] = SIDES[self.system](raw).view(path.shape[:2])
        return series

    def distance(self, x: Tensor) -> float:
        """``MMD^2`` to held-out states over its floor."""
        protocol = Protocol(starts=WALKERS, transport=False, seed=self.seed)
        reference = Reference(self.snapshots, SIGMA, protocol)
        return mmd2(x, reference.held_out, 0.5).item() / reference.floor["mmd2_floor95"]

    def bias(self, path: Tensor) -> float:
        """Mean squared radius against that of all snapshots, in its standard deviations."""
        r2 = torch.cat([self.snapshots.train, self.snapshots.test]).square().sum(1)
        expected = r2.mean() + path.shape[2] * SIGMA**2
        simulated = path.square().sum(2)
        return ((simulated.mean() - expected) / simulated.std()).item()


def measured(case: Case, name: str, sampler: tuple, eta: float, dt: float, steps: int) -> dict:
    """A row: costs, correlation times in evaluations, distances from a bad start, bias of r2."""
    cost, protocol = EVALUATIONS[name], Protocol(starts=WALKERS, seed=case.seed)
    share = 1 if BASES[name] == "none" else 2  # fewer and longer: their cost is in the states
    chains, steps = CHAINS // share, share * steps
    x0 = Reference(case.snapshots, SIGMA, protocol).initial[:chains]
    path, seconds = harness.timed(partial(case.simulate, sampler, x0, dt, eta, steps))
    row = {"system": case.system, "seed": case.seed, "name": name, "eta": eta, "dt": dt}
    row["microseconds"] = 1e6 * seconds / steps / chains
    for observable, series in case.observables(path).items():
        row[f"tau_{observable}"] = cost * integrated_autocorrelation_time(series.numpy())
    ends = [budget // cost for budget in BUDGETS]
    states = case.simulate(sampler, case.snapshots.train[:1].expand(WALKERS, -1), dt, eta, ends[-1])
    row |= {f"mmd_{b}": case.distance(states[n]) for b, n in zip(BUDGETS, ends, strict=True)}
    return row | {"bias": case.bias(path[len(path) // 5 :])}


def measure(case: Case, steps: int, etas: list[float], checked: bool) -> list[dict]:
    """Rows of one system and seed; with ``checked`` also at half and at twice the step."""
    rows = []
    for name, sampler in case.samplers.items():
        still = BASES[name] == name
        for eta in [1.0] if still else etas:
            again = checked and BASES[name] == "none" and eta == CHECKED[still]
            for factor in (0.5, 1.0, 2.0) if again else (1.0,):
                dt = factor * min(DIFFUSED / eta, torch.inf if still else LONGEST)
                row = measured(case, name, sampler, eta, dt, round(steps / min(factor, 1)))
                rows.append(row | {"factor": factor})
                print(" ".join(f"{k}={_short(v)}" for k, v in rows[-1].items()), flush=True)
    return rows


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def slowest(row: dict) -> float:
    """Evaluations for an independent value of the observable that takes most."""
    return np.max([value for key, value in row.items() if key.startswith("tau_")]).item()


def gains(row: dict, base: dict) -> dict[str, float]:
    """Of one row over v = 0 of the same seed: how many times more independent samples.

    In the same time at the same eta, whatever the steps; for an evaluation and for a CPU second,
    each at its own step; and for an evaluation of each observable.
    """
    steps = EVALUATIONS[base["name"]] / EVALUATIONS[row["name"]] * slowest(row) / slowest(base)
    return {
        "same eta": base["dt"] * base["eta"] / (row["dt"] * row["eta"]) / steps,
        "evaluation": slowest(base) / slowest(row),
        "second": base["microseconds"] / row["microseconds"] / steps,
    } | {key[4:]: base[key] / row[key] for key in row if key.startswith("tau_")}


KIND, REPEATED = itemgetter("system", "name", "eta"), itemgetter("system", "name", "eta", "seed")
"""What rows of several seeds have in common, and those at several steps."""


def table(rows: list[dict]) -> None:
    """Print medians over seeds and some ranges."""
    print()
    costs, budgets = ("same eta", "evaluation", "second"), [f"MMD^2 {b}" for b in BUDGETS]
    head = ("system", "v", "eta", "dt", "tau")
    harness.heading(*head, *costs, "each observable", *budgets, "bias")
    main = {REPEATED(r): r for r in rows if r["factor"] == 1}
    for system, name, eta in dict.fromkeys(map(KIND, rows)):
        own = [row for key, row in main.items() if key[:3] == (system, name, eta)]
        over = [gains(row, main[system, BASES[name], 1.0, row["seed"]]) for row in own]
        gain = {key: [g[key] for g in over] for key in over[0]}
        harness.row(
            *(system, name, f"{eta:g}", f"{own[0]['dt']:g}", spread([*map(slowest, own)], ".3g")),
            *(spread(gain.pop(key), ".3g") for key in costs),
            ", ".join(f"{key} {median(values):.2g}" for key, values in gain.items()),
            *(spread([r[f"mmd_{b}"] for r in own], ".3g") for b in BUDGETS),
            f"{median(r['bias'] for r in own):+.3f}",
        )
    print("\nstep times 1/2, 1, 2: time of a sample in 1 / eta, and bias of r2")
    checked = {REPEATED(r) for r in rows if r["factor"] != 1}
    for row in sorted(rows, key=lambda r: (r["system"], r["name"], r["factor"])):
        if REPEATED(row) in checked:
            time_each = slowest(row) / EVALUATIONS[row["name"]] * row["dt"] * row["eta"]
            label = f"{row['system']} {row['name']} eta {row['eta']:g} dt {row['dt']:g}"
            print(f"{label:40} {time_each:8.2f} {row['bias']:+.3f}")


if __name__ == "__main__":
    cost = {"etas": [0.1, 0.3, 1.0], "steps": 1500, "jsonl": Path, "quick": False}
    asked = harness.options(__doc__, systems=harness.Names(DATA), seeds=[0, 1], **cost)
    started, rows = time.process_time(), []
    for system, seed in product(asked.systems, asked.seeds):
        case = Case(system, seed, asked.quick)
        print(f"{system} {seed}: trained after {time.process_time() - started:.0f} s")
        with torch.no_grad():
            rows += measure(case, asked.steps, asked.etas, checked=seed == asked.seeds[0])
    table(rows)
    harness.append_rows(asked.jsonl, rows)
    print(f"{time.process_time() - started:.0f} CPU seconds")
