"""New states of mixtures of Gaussians: does every mode get its share?

    python benchmarks/modes.py --seeds 0 1
    python benchmarks/modes.py --modes 8 --dimensions 2 --ways snapshots noise dynamics

A seed draws the mixture, 10,000 snapshots and the weights of the default score, which is trained
once. Modes are at least 1 apart, their weights unequal by up to 10 times, their standard deviations
from .05 to .15. `snapshots` is `EquilibriumFlow.sample(n)`, `noise` the same with `start="noise"`,
`dynamics` with 20 transit times of the SDE of a skew field at sigma = .2 on the way.

p: of the chi-square of n states' modes against the true weights. MMD^2: of 1,000 of them to true
states, over the 95th percentile of random halves of these (floor95). Outside: states that no mode
has (farther than 1 in 1,000 of its own). Null: how many of 200 true samples of n states have
p < .01, and how many random halves an MMD^2 beyond 1.5 floors.
"""

from functools import cached_property, partial
from itertools import product
from pathlib import Path

import harness
import torch
from scipy.stats import chi2, chisquare
from torch import Tensor

from eqflow.data import Standardiser, novelty, random_half
from eqflow.estimator import EquilibriumFlow
from eqflow.metrics import median_bandwidth, mmd2, mmd2_splits
from eqflow.model import FlowModel

SNAPSHOTS, COMPARED, REPEATS = 10_000, 1000, 200
"""Snapshots of a mixture, states that MMD^2 is taken over, samples of the null."""

FEWEST, TRIES = 5, 10_000
"""Expected states of the rarest mode that chi-square needs; places that a mode is tried at."""

WAYS = {
    "snapshots": {},
    "noise": {"start": "noise"},
    "dynamics": {"start": "noise", "time": 20.0},
}
"""Arguments of ``EquilibriumFlow.sample``."""


class Mixture:
    """Gaussian modes in a cube, none nearer than 1 to another; raw states in float64."""

    def __init__(self, modes: int, dim: int, seed: int) -> None:
        self.modes, self.dim = modes, dim
        self.draws = torch.Generator().manual_seed(1000 * seed + 10 * modes + dim)
        self.centres = self._apart()
        weights = 10 ** self._shuffled()
        self.weights, self.spreads = weights / weights.sum(), 0.05 * 3 ** self._shuffled()

    def _apart(self) -> Tensor:
        side, found = 1.5 * self.modes ** (1 / self.dim), torch.empty(0, self.dim).double()
        for _ in range(TRIES):
            place = side * torch.rand(self.dim, generator=self.draws, dtype=torch.double)
            if ((found - place).norm(dim=1) >= 1).all():
                found = torch.cat([found, place[None]])
            if len(found) == self.modes:
                return found
        raise SystemExit(f"modes={self.modes} do not fit; expected fewer, or more dimensions")

    def _shuffled(self) -> Tensor:
        steps = torch.linspace(0, 1, self.modes, dtype=torch.double)
        return steps[torch.randperm(self.modes, generator=self.draws)]

    def draw(self, n: int) -> Tensor:
        mode = torch.multinomial(self.weights, n, replacement=True, generator=self.draws)
        noise = torch.randn(n, self.dim, generator=self.draws, dtype=torch.double)
        return self.centres[mode] + self.spreads[mode, None] * noise

    def counts(self, x: Tensor) -> Tensor:
        """States that belong to each mode more likely than to another."""
        square = torch.cdist(x, self.centres).square()
        likely = self.weights.log() - square / (2 * self.spreads**2) - self.dim * self.spreads.log()
        return likely.argmax(1).bincount(minlength=self.modes)

    @cached_property
    def shares(self) -> Tensor:
        n = 400_000
        return self.counts(self.draw(n)).double() / n

    def p_value(self, x: Tensor) -> float:
        return chisquare(self.counts(x), len(x) * self.shares).pvalue.item()

    def outside(self, x: Tensor) -> float:
        radius = (torch.cdist(x, self.centres) / self.spreads).amin(1)
        return (radius.square() > chi2.ppf(0.999, self.dim)).double().mean().item()


class Distance:
    """``MMD^2`` to true states, standardised, over its floor."""

    def __init__(self, true: Tensor, seed: int) -> None:
        self.true, draws = true, torch.Generator().manual_seed(seed)
        self.bandwidth = 0.5 if true.shape[1] <= 3 else median_bandwidth(true)
        halves = [random_half(len(true), None, draws) for _ in range(REPEATS)]
        self.splits = mmd2_splits(true, self.bandwidth, torch.stack(halves, 1))
        self.floor = self.splits.quantile(0.95)

    def __call__(self, z: Tensor) -> float:
        return (mmd2(z[:COMPARED], self.true[:COMPARED], self.bandwidth) / self.floor).item()


def fitted(x: Tensor, seed: int) -> EquilibriumFlow:
    """A skew field on the default score of raw states."""
    units = Standardiser.of(x)
    z = units.standard(x).float()
    model = FlowModel(z.shape[1:], z, "skew", seed=seed)
    model.score.load_state_dict(harness.trained_score(z, seed).state_dict())
    harness.normalised(model.field, z, model.sigma)
    model.standardiser = units
    return EquilibriumFlow.of(model)


def measure(modes: int, dim: int, seed: int, states: int, ways: list[str]) -> dict:
    """A row: the null, and of each way p, MMD^2, what lies outside, novelty, CPU seconds."""
    mixture = Mixture(modes, dim, seed)
    if states * mixture.weights.min() < FEWEST:
        raise SystemExit(
            f"states={states} found, too few to show the shares of {modes} modes: the rarest is "
            f"expected {states * mixture.weights.min():.1f} times; expected {FEWEST} times or more"
        )
    flow = fitted(mixture.draw(SNAPSHOTS), seed)
    standard, starts = flow.model.standardiser.standard, flow.model.starts
    distance = Distance(standard(mixture.draw(2 * COMPARED)), seed)
    rejected = [mixture.p_value(mixture.draw(states)) < 0.01 for _ in range(REPEATS)]
    beyond = (distance.splits > 1.5 * distance.floor).sum().item()
    row = {"modes": modes, "dim": dim, "seed": seed, "null": [sum(rejected), beyond], "ways": {}}
    for way in ways:
        x, seconds = harness.timed(partial(flow.sample, states, **WAYS[way]))
        x = torch.from_numpy(x).double()
        found = {"p": mixture.p_value(x), "mmd2": distance(standard(x))}
        found |= {"outside": mixture.outside(x), "novelty": novelty(standard(x), starts)}
        row["ways"][way] = found | {"seconds": seconds}
    return row


HEAD = ("modes", "d", "seed", "way", "p", "MMD^2 / floor", "outside", "novelty", "CPU s", "null")


def show(row: dict) -> None:
    """Print a line for each way."""
    null = f"{row['null'][0]}, {row['null'][1]} of {REPEATS}"
    for way, found in row["ways"].items():
        numbers = (f"{found[key]:.2g}" for key in ("p", "mmd2", "outside", "novelty", "seconds"))
        harness.row(row["modes"], row["dim"], row["seed"], way, *numbers, null)


def summary(rows: list[dict], way: str) -> None:
    """Print how many seeds of each mixture pass, and in all."""
    found = [row["ways"][way] for row in rows]
    shares, near = (sum(f["p"] >= 0.01 for f in found), sum(f["mmd2"] <= 1.5 for f in found))
    print(
        f"{way}: shares not rejected in {shares}, MMD^2 within 1.5 floors in {near} of {len(rows)}"
    )


if __name__ == "__main__":
    mixtures = {"modes": [3, 8, 25], "dimensions": [2, 3, 8], "seeds": [0, 1], "states": 2000}
    ways = harness.Names(WAYS, ["snapshots", "noise"])
    asked = harness.options(__doc__, **mixtures, ways=ways, out=Path)
    harness.heading(*HEAD)
    rows = []
    for seed, dim, modes in product(asked.seeds, asked.dimensions, asked.modes):
        make = partial(measure, modes, dim, seed, asked.states, asked.ways)
        name = f"{modes}_{dim}_{seed}_{asked.states}_{'_'.join(asked.ways)}.json"
        rows.append(harness.kept(asked.out / name, make) if asked.out else make())
        if rows[-1]:
            show(rows[-1])
    for way in asked.ways:
        summary([row for row in rows if row], way)
