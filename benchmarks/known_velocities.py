"""How far a few known velocities decide the dynamics, with the snapshots and without them.

    python benchmarks/known_velocities.py
    python benchmarks/known_velocities.py --seeds 0 1 --figure docs/known_velocities.png

|cos| to the true velocity at 2,000 clean held-out states against the number of known velocities,
`--known`, beside 24,000 snapshots; fresh data, score and known velocities a seed. `stream`:
flow=stream, which keeps the distribution exactly at sigma 0.2; `network`: flow=network
flow.condition=weak, the condition as a penalty; both at their defaults. The others see no
snapshots: `rbf`, scipy's RBFInterpolator (thin plates; linear below four known velocities),
`quadratic`, least squares of degree 2, of least norm where few are known. Median and range over
seeds; `--jsonl` keeps the rows, and goes on from them; `--figure` draws them.
"""

from functools import cached_property, partial
from itertools import product
from pathlib import Path
from statistics import median

import harness
import numpy as np
import torch
from matplotlib import rc_context
from scipy.interpolate import RBFInterpolator
from torch import Tensor

from data_modules import Dysts, Lorenz
from eqflow.data import KnownVelocities
from eqflow.fields import FAMILIES, build_field
from eqflow.report.style import STYLE, new_figure
from eqflow.score import EmpiricalScore, Score

STATES, SIGMA = 24_000, 0.2
COUNTS = [1, 3, 10, 30, 100]


class Case:
    """A system's snapshots of one seed, and its score once it is asked for."""

    def __init__(self, system: str, seed: int) -> None:
        options = {"n": STATES, "seed": seed, "velocities": max(COUNTS)}
        data = Lorenz(**options) if system == "Lorenz" else Dysts(system, **options)
        self.seed, self.snapshots = seed, harness.prepared(data)
        self.test, self.truth = data.snapshots.test, data.snapshots.velocity(data.snapshots.test)

    @cached_property
    def score(self) -> Score:
        return harness.trained_score(self.snapshots.train, self.seed)

    def trained(self, family: str, score: Score, known: KnownVelocities, **training: str) -> Tensor:
        """Velocities of a field at the held-out states."""
        field = build_field(family, self.snapshots.shape, score, SIGMA, self.seed)
        data = (self.snapshots.train, self.seed)
        return harness.trained_field(field, score, *data, velocities=known, **training)(self.test)


def stream(case: Case, known: KnownVelocities) -> Tensor:
    return case.trained("stream", case.score, known)


def network(case: Case, known: KnownVelocities) -> Tensor:
    score = EmpiricalScore(case.snapshots.train)  # which the weak form does not ask for
    return case.trained("network", score, known, condition="weak")


def rbf(case: Case, known: KnownVelocities) -> Tensor:
    x, v = known.x.double().numpy(), known.v.double().numpy()
    enough = len(x) > x.shape[1]  # for the linear part of thin plates
    kernel = {} if enough else {"kernel": "linear", "degree": 0}
    if len(x) == 1:
        return known.v.expand_as(case.truth)
    return torch.from_numpy(RBFInterpolator(x, v, **kernel)(case.test.double().numpy()))


def quadratic(case: Case, known: KnownVelocities) -> Tensor:
    def terms(x: Tensor) -> np.ndarray:
        first, second = torch.triu_indices(x.shape[1], x.shape[1])
        columns = (torch.ones_like(x[:, :1]), x, x[:, first] * x[:, second])
        return torch.cat(columns, 1).double().numpy()

    xi = np.linalg.lstsq(terms(known.x), known.v.double().numpy(), rcond=None)[0]
    return torch.from_numpy(terms(case.test) @ xi)


METHODS = {method.__name__: method for method in (stream, network, rbf, quadratic)}


def measured(system: str, seed: int, counts: list[int]) -> list[dict]:
    """A row a number of known velocities and method."""
    case, rows = Case(system, seed), []
    for count, (name, method) in product(counts, METHODS.items()):
        known = KnownVelocities(*(values[:count] for values in case.snapshots.known_velocities))
        v, seconds = harness.timed(partial(method, case, known))
        cosine = abs(harness.cosine(v.detach(), case.truth))
        row = {"system": system, "seed": seed, "known": count, "method": name}
        rows.append(row | {"cos": cosine, "seconds": seconds})
        print(
            f"{system:>8} {seed:4} {count:5} {name:>10} {cosine:7.3f} {seconds:6.1f} s", flush=True
        )
    return rows


Curves = dict[tuple[str, str], list[list[float]]]
"""System and method -> cosines over seeds, for each number of known velocities."""


def curves(rows: list[dict], systems: list[str], counts: list[int]) -> Curves:
    def over_seeds(*wanted: object) -> list[float]:
        return [r["cos"] for r in rows if (r["system"], r["method"], r["known"]) == wanted]

    return {key: [over_seeds(*key, n) for n in counts] for key in product(systems, METHODS)}


def table(cosines: Curves, systems: list[str], counts: list[int]) -> None:
    """Print median and range by method and number of known velocities."""
    for system in systems:
        print(f"\n{system}: median (range)")
        print(f"{'known':>10}" + "".join(f"{count:>22}" for count in counts))
        for method in METHODS:
            texts = [harness.spread(values, ".3f") for values in cosines[system, method]]
            print(f"{method:>10}" + "".join(f"{text:>22}" for text in texts))


def figure(cosines: Curves, systems: list[str], counts: list[int], path: Path) -> None:
    """Curves of the medians with the range over seeds."""
    colours = {name: family.colour for name, family in FAMILIES.items()}
    colours |= {"rbf": colours["random"], "quadratic": colours["library"]}
    with rc_context(STYLE):
        page = new_figure(3.6 * len(systems) + 0.4, 3.2)
        grid = page.subplots(1, len(systems), squeeze=False)[0]
        for axes, system in zip(grid, systems, strict=True):
            for method in METHODS:
                cells, colour = cosines[system, method], colours[method]
                axes.plot(counts, [*map(median, cells)], "o-", color=colour, label=method)
                ends = [*map(min, cells)], [*map(max, cells)]
                axes.fill_between(counts, *ends, color=colour, alpha=0.15, lw=0)
            axes.set(xscale="log", ylim=(0, 1.02), title=system, xlabel="known velocities")
            axes.set_xticks(counts, [f"{count}" for count in counts])
            axes.set_ylabel("|cos| to the true velocity")
        axes.legend()
        page.savefig(path)


if __name__ == "__main__":
    cases = {"seeds": [*range(10)], "systems": ["Lorenz", "Thomas"], "known": COUNTS}
    asked = harness.options(__doc__, **cases, jsonl=Path, figure=Path, threads=1)
    rows = harness.read_rows(asked.jsonl)
    done = {(row["system"], row["seed"]) for row in rows}
    for system, seed in product(asked.systems, asked.seeds):
        if (system, seed) not in done:
            rows += (new := measured(system, seed, asked.known))
            harness.append_rows(asked.jsonl, new)
    cosines = curves(rows, asked.systems, asked.known)
    table(cosines, asked.systems, asked.known)
    if asked.figure:
        figure(cosines, asked.systems, asked.known, asked.figure)
