"""The SDE as a sampler: what a velocity adds to Langevin dynamics at equal cost.

    python benchmarks/sampling.py
    python benchmarks/sampling.py --systems ring --seeds 0 --steps 8000 --jsonl rows.jsonl

`dx = (v + eta s) dt + sqrt(2 eta) dW` keeps one law for every v that keeps it; `none` is v = 0.
Only the ratio of eta to the speed of v matters: to scale v is to scale 1 / eta, and the best eta is
the best speed. skew and stream (principle smooth) share a conservative score; a library is fitted
to the clean snapshots, its score is the empirical one at the same sigma, as in
`EquilibriumFlow.sample`, and it is compared with v = 0 on that score. Costs are evaluations of
score and field: 2 a step of Heun, 4 with a field that is not made of the score alone (skew is), and
CPU seconds.
"""

import argparse
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from data_modules import Lorenz, Ring, TwoMoons  # noqa: E402
from eqflow import EquilibriumFlow  # noqa: E402
from eqflow.evaluation import Protocol, held_out, resampling_floor  # noqa: E402
from eqflow.fields import build_field  # noqa: E402
from eqflow.metrics import integrated_autocorrelation_time, mmd2  # noqa: E402
from eqflow.processes import Draws, normal  # noqa: E402
from eqflow.simulate import HeunSDE  # noqa: E402
from eqflow.training import noised_batches  # noqa: E402

STATES, FEWER, SIGMA = 8_000, 1_000, 0.2
"""Snapshots, those of the empirical score, whose evaluation sees all of them, and their noise."""

CHAINS, WALKERS = 128, 500
"""Chains whose correlations are measured, and chains that start from one snapshot."""

LONGEST, DIFFUSED = 0.1, 0.04
"""Steps of the SDE: dt and eta dt at most, the first in transit times."""

ETAS, CHECKED = (0.1, 0.3, 1.0), (0.3, 1.0)
"""Strengths of the noise; those at which the step is halved and doubled, 1 for v = 0."""

BUDGETS = (100, 400)
"""Evaluations after which walkers are compared with held-out states."""

DATA = {"two_moons": TwoMoons, "ring": Ring, "lorenz": Lorenz}
LAWS = ("ring", "lorenz")
"""Systems of which there is a polynomial law."""

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
"""An indicator of one part of the law, of raw states: a moon, a wing."""


class Case:
    """A system's snapshots of one seed, its scores and the fields on them."""

    def __init__(self, system: str, seed: int, quick: bool) -> None:
        data = DATA[system](n=STATES, val=100, test=2000, seed=seed)
        data.setup()
        self.system, self.seed, self.snapshots = system, seed, data.snapshots
        self.steps = (40, 20) if quick else (1000, 300)

    def fitted(self, family: str, n: int = STATES, **training: dict) -> EquilibriumFlow:
        raw = self.snapshots.standardiser.raw(self.snapshots.train[:n])
        return EquilibriumFlow(family, SIGMA, self.seed, **training).fit(raw)

    @cached_property
    def stream(self) -> EquilibriumFlow:
        score, flow = self.steps
        training = {"steps": flow, "principle": "smooth"}
        return self.fitted("stream", score_training={"steps": score}, flow_training=training)

    @cached_property
    def library(self) -> EquilibriumFlow:
        return self.fitted("library", FEWER)

    def samplers(self) -> dict[str, tuple[Callable, Callable]]:
        """Velocity and score by name."""
        train, shape = self.snapshots.train, self.snapshots.shape
        score = self.stream.model.score
        skew = build_field("skew", shape, score, SIGMA, self.seed)
        skew.normalise_(noised_batches(train, SIGMA))
        found = {"none": torch.zeros_like, "skew": skew, "stream": self.stream.model.field}
        given = {name: (field, partial(score, sigma=SIGMA)) for name, field in found.items()}
        if self.system in LAWS:
            model = self.library.model
            empirical = partial(model.score, sigma=SIGMA)
            given["none, empirical"] = (torch.zeros_like, empirical)
            given["library"] = (model.field, empirical)
        return given

    def simulate(self, sampler: tuple, x0: Tensor, dt: float, eta: float, steps: int) -> Tensor:
        """States after every step."""
        velocity, score = sampler
        times = dt * torch.arange(steps + 1, dtype=torch.double)
        noise = partial(normal, x0, len(x0), self.seed, Draws.SIMULATION)
        return HeunSDE(dt, eta)(velocity, x0, times, score, noise)

    def observables(self, path: Tensor) -> dict[str, Tensor]:
        """Of states ``(times, chains, d)``: ``(times, chains)`` each."""
        found = dict(zip("xyz", path.unbind(2), strict=False)) | {"r2": path.square().sum(2)}
        if self.system in SIDES:
            raw = self.snapshots.standardiser.raw(path.flatten(0, 1))
            found["side"] = SIDES[self.system](raw).view(path.shape[:2])
        return found

    def distance(self, x: Tensor) -> float:
        """``MMD^2`` to held-out states over its floor."""
        protocol = Protocol(starts=WALKERS, transport=False, seed=self.seed)
        floor = resampling_floor(self.snapshots, SIGMA, protocol)["mmd2_floor95"]
        return mmd2(x, held_out(self.snapshots, SIGMA, protocol)[1], 0.5).item() / floor

    def bias(self, path: Tensor) -> float:
        """Mean squared radius against that of all snapshots, in its standard deviations."""
        r2 = torch.cat([self.snapshots.train, self.snapshots.test]).square().sum(1)
        expected = r2.mean() + path.shape[2] * SIGMA**2
        found = path.square().sum(2)
        return ((found.mean() - expected) / found.std()).item()


def add_measurement_noise(case: Case, name: str, sampler: tuple, eta: float, dt: float, steps: int) -> dict:
    """A row: costs, correlation times in evaluations, distances from a bad start, bias of r2."""
    cost, protocol = EVALUATIONS[name], Protocol(starts=WALKERS, seed=case.seed)
    share = 1 if BASES[name] == "none" else 2  # fewer and longer: their cost is in the states
    chains, steps = CHAINS // share, share * steps
    x0 = held_out(case.snapshots, SIGMA, protocol)[0][:chains]
    started = time.process_time()
    path = case.simulate(sampler, x0, dt, eta, steps)
    seconds = (time.process_time() - started) / steps / chains
    row = {"system": case.system, "seed": case.seed, "name": name, "eta": eta, "dt": dt}
    row["microseconds"] = 1e6 * seconds
    for observable, series in case.observables(path).items():
        row[f"tau_{observable}"] = cost * integrated_autocorrelation_time(series.numpy())
    ends = [budget // cost for budget in BUDGETS]
    states = case.simulate(sampler, case.snapshots.train[:1].expand(WALKERS, -1), dt, eta, ends[-1])
    row |= {f"mmd_{b}": case.distance(states[n]) for b, n in zip(BUDGETS, ends, strict=True)}
    return row | {"bias": case.bias(path[len(path) // 5 :])}


def rows(case: Case, steps: int, etas: list[float], checked: bool) -> list[dict]:
    """Of one system and seed; with ``checked`` also at half and at twice the step."""
    found = []
    for name, sampler in case.samplers().items():
        still = BASES[name] == name
        for eta in [1.0] if still else etas:
            again = checked and BASES[name] == "none" and eta == CHECKED[still]
            for factor in (0.5, 1.0, 2.0) if again else (1.0,):
                dt = factor * min(DIFFUSED / eta, torch.inf if still else LONGEST)
                row = measured(case, name, sampler, eta, dt, round(steps / min(factor, 1)))
                found.append(row | {"factor": factor})
                print(" ".join(f"{k}={_short(v)}" for k, v in found[-1].items()), flush=True)
    return found


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
    found = {"same eta": base["dt"] * base["eta"] / (row["dt"] * row["eta"]) / steps}
    found["evaluation"] = slowest(base) / slowest(row)
    found["second"] = base["microseconds"] / row["microseconds"] / steps
    return found | {k[4:]: base[k] / row[k] for k in row if k.startswith("tau_")}


HEADINGS = [
    "system",
    "v",
    "eta",
    "dt",
    "tau",
    "same eta",
    "evaluation",
    "second",
    "each observable",
]
HEADINGS += [*(f"MMD^2 {budget}" for budget in BUDGETS), "bias"]


def table(found: list[dict]) -> None:
    """Medians over seeds and some ranges."""
    print(f"\n| {' | '.join(HEADINGS)} |\n" + "|---" * len(HEADINGS) + "|")
    kinds = dict.fromkeys((r["system"], r["name"], r["eta"]) for r in found)
    main = {(r["system"], r["name"], r["eta"], r["seed"]): r for r in found if r["factor"] == 1}
    for system, name, eta in kinds:
        mine = [row for key, row in main.items() if key[:3] == (system, name, eta)]
        over = [gains(row, main[system, BASES[name], 1.0, row["seed"]]) for row in mine]
        gain = {key: [g[key] for g in over] for key in over[0]}
        costs = ("same eta", "evaluation", "second")
        cells = [system, name, f"{eta:g}", f"{mine[0]['dt']:g}"]
        cells += [middle([slowest(r) for r in mine]), *(middle(gain.pop(key)) for key in costs)]
        cells.append(", ".join(f"{key} {median(values):.2g}" for key, values in gain.items()))
        cells += [middle([r[f"mmd_{b}"] for r in mine]) for b in BUDGETS]
        print("| " + " | ".join([*cells, f"{median(r['bias'] for r in mine):+.3f}"]) + " |")
    print("\nstep times 1/2, 1, 2: time of a sample in 1 / eta, and bias of r2")
    for row in sorted(found, key=lambda r: (r["system"], r["name"], r["factor"])):
        if any(_alike(row, other) and other["factor"] != row["factor"] for other in found):
            each = slowest(row) / EVALUATIONS[row["name"]] * row["dt"] * row["eta"]
            label = f"{row['system']} {row['name']} eta {row['eta']:g} dt {row['dt']:g}"
            print(f"{label:40} {each:8.2f} {row['bias']:+.3f}")


def _alike(row: dict, other: dict) -> bool:
    return all(row[key] == other[key] for key in ("system", "seed", "name", "eta"))


def middle(values: list[float]) -> str:
    """Median and range."""
    text = _short(median(values))
    return f"{text} ({_short(min(values))} to {_short(max(values))})" if len(values) > 1 else text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--etas", type=float, nargs="+", default=list(ETAS))
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--jsonl", type=Path, help="rows are added to it")
    parser.add_argument("--quick", action="store_true", help="trained for a moment: a try")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    started, found = time.process_time(), []
    for system in arguments.systems:
        for seed in arguments.seeds:
            case = Case(system, seed, arguments.quick)
            case.samplers()
            print(f"{system} {seed}: trained after {time.process_time() - started:.0f} s")
            with torch.no_grad():
                first = seed == arguments.seeds[0]
                found += rows(case, arguments.steps, arguments.etas, first)
    table(found)
    if arguments.jsonl:
        with arguments.jsonl.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in found)
    print(f"{time.process_time() - started:.0f} CPU seconds")


if __name__ == "__main__":
    main()
