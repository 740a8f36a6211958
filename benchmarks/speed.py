"""Speed of every part of eqflow beside a naive version of it, as ratios within one run.

    python benchmarks/speed.py                 # table: ours, naive, naive / ours [range]
    python benchmarks/speed.py --training      # Lorenz, score and flow, in CPU seconds

The two are called in turn; `--threads` and `--repeats` are those of the table. A time is the median
over repeats, the ratio the median of the repeats' own ratios; one repeat calls each version for
about `--seconds`. A naive version that is too slow does a share of the work, and its time is
scaled. Everything is at the defaults of the shipped configuration.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from math import dist, exp
from os import cpu_count
from statistics import median
from typing import Any, NamedTuple

import harness
import torch
from harness import BATCH, Loop
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from data_modules import Lorenz
from eqflow.evaluation import Protocol, residuals
from eqflow.fields import VelocityField, build_field
from eqflow.metrics import mmd2, mmd2_splits, sliced_w2
from eqflow.model import FlowModel
from eqflow.score import EmpiricalScore, MLPScore, build_score
from eqflow.simulate import RK4
from eqflow.systems import Lorenz63
from eqflow.training import (
    Batch,
    FlowModule,
    ScoreModule,
    noised_batches,
    quiet_trainer,
    train_loader,
)

SIGMA = 0.2


class Part(NamedTuple):
    """Two ways to the same result; ``share`` is the part of the work that the naive one does."""

    name: str
    ours: Callable[[], Any]
    beside: str
    naive: Callable[[], Any]
    share: float = 1.0
    units: int = 1  # what one call of ours makes; times are given per unit


# the naive versions


class AutogradScore(MLPScore):
    """The gradient of the energy by a nested automatic derivative."""

    def network_output(self, x: Tensor, sigma: Tensor) -> Tensor:
        with torch.enable_grad():
            u = self._unit_inputs(x, sigma).requires_grad_()
            (gradient,) = torch.autograd.grad(self.network(u).sum(), u, create_graph=True)
        return -gradient[:, :-1]


class Opaque(nn.Module):
    """A field without its own divergence: the generic vectorised jvp has to give it."""

    def __init__(self, field: VelocityField) -> None:
        super().__init__()
        self.field, self.shape, self.dim = field, field.shape, field.dim

    def forward(self, x: Tensor) -> Tensor:
        return self.field(x)


class ByDimension(Opaque):
    """A field whose divergence takes one automatic derivative per dimension."""

    def value_and_divergence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.requires_grad_()
        v = self.field(x)
        columns = [
            torch.autograd.grad(v[:, i].sum(), x, create_graph=True)[0][:, i]
            for i in range(x.shape[1])
        ]
        return v, torch.stack(columns).sum(0)


def mmd2_by_pairs(x: list[list[float]], y: list[list[float]], bandwidth: float) -> float:
    """Unbiased ``MMD^2`` in plain Python, every pair once."""

    def kernel(a: list[float], b: list[float]) -> float:
        return exp(-(dist(a, b) ** 2) / (2 * bandwidth**2))

    def within(x: list[list[float]]) -> float:
        n = len(x)
        return sum(kernel(x[i], x[j]) for i in range(n) for j in range(i)) * 2 / (n * (n - 1))

    return within(x) + within(y) - 2 * sum(kernel(a, b) for a in x for b in y) / (len(x) * len(y))


def score_by_state(points: Tensor, queries: Tensor) -> Tensor:
    """Empirical score, one query after the other, from explicit distances."""
    rows = []
    for query in queries:
        weights = torch.softmax(-(points - query).square().sum(1) / (2 * SIGMA**2), dim=0)
        rows.append((weights @ points - query) / SIGMA**2)
    return torch.stack(rows)


# the parts


def data_parts(train: Tensor) -> Iterator[Part]:
    """Batches and the Lorenz sampler."""
    steps = -(-len(train) // BATCH)
    items = DataLoader(TensorDataset(train), batch_size=BATCH, shuffle=True)
    ours = partial(deque, train_loader(train, BATCH, steps, seed=0), maxlen=0)
    yield Part("batch", ours, "items collated", partial(deque, items, maxlen=0), units=steps)

    n, few = 53_000, 20
    sample = Lorenz63().sample
    single = partial(sample, few, seed=0, runs=1, transient=1.0)  # its transient is next to nothing
    yield Part("Lorenz state", partial(sample, n, seed=0), "one trajectory", single, few / n, n)


def step_parts(train: Tensor) -> Iterator[Part]:
    """Training steps: the score by gradient, the flow by divergence, in 3 and 32 dimensions."""
    batch = next(iter(train_loader(train, BATCH, 1, seed=0)))
    kinds = (MLPScore, AutogradScore)
    ours, naive = (partial(Loop(ScoreModule(kind((3,)))), batch) for kind in kinds)
    yield Part("score step", ours, "autograd.grad", naive)

    divergences = {
        "vectorised jvp": (Opaque, "exact"),
        "hutchinson": (Opaque, "hutchinson"),
        "autograd.grad per dim": (ByDimension, "exact"),
    }
    draw = torch.Generator().manual_seed(0)
    for states in (batch.states, torch.randn(BATCH, 32, generator=draw)):
        for beside, how in divergences.items():
            ours, naive = flow_step(states), flow_step(states, *how)
            yield Part(f"flow step, d = {states.shape[1]}", ours, beside, naive)


def flow_step(states: Tensor, wrap: type | None = None, divergence: str = "exact") -> Callable:
    """A training step of a flow, its field wrapped or as it is."""
    score = build_score("mlp", states.shape[1:], states)
    field = build_field("network", states.shape[1:], score, SIGMA)
    module = FlowModule(wrap(field) if wrap else field, score, SIGMA, divergence=divergence)
    return partial(Loop(module), Batch(states, BATCH))


def simulation_parts(train: Tensor) -> Iterator[Part]:
    """One RK4 step of 1,000 states."""
    model, n, few, steps = FlowModel((3,), train), 1000, 10, 20
    times = torch.tensor([0.0, 0.05 * steps])
    for family in ("network", "skew"):
        field = build_field(family, (3,), model.score, SIGMA)
        field.normalise_(noised_batches(train, SIGMA))
        move = torch.no_grad()(partial(RK4(), field, times=times))
        ours, naive = partial(move, train[:n]), partial(one_by_one, move, train[:few])
        yield Part(f"RK4 step of {family}", ours, "state by state", naive, few / n, steps)


def one_by_one(function: Callable[[Tensor], Any], states: Tensor) -> None:
    """Call ``function`` on one state after the other."""
    for state in states.split(1):
        function(state)


def metric_parts(train: Tensor) -> Iterator[Part]:
    """Measures of 1,000 against 1,000 states, and the empirical score."""
    import ot  # not among the imports whose seconds are stated

    n, few, splits, calls = 1000, 40, 200, 5
    x, y = train[:n], train[n : 2 * n]
    pairs = partial(mmd2_by_pairs, x[:few].tolist(), y[:few].tolist(), 0.5)
    yield Part("mmd2", partial(mmd2, x, y, 0.5), "pair by pair", pairs, (few / n) ** 2)

    draw = torch.Generator().manual_seed(0)
    states, orders = train[: 2 * n], [torch.randperm(2 * n, generator=draw) for _ in range(splits)]
    floor = partial(mmd2_splits, states, 0.5, torch.stack([o < n for o in orders], dim=1))

    def explicit() -> None:
        for order in orders[:calls]:
            mmd2(*states[order].split(n), 0.5)

    yield Part("resampling floor", floor, "mmd2 per split", explicit, calls / splits)

    pot = partial(ot.sliced_wasserstein_distance, x.double(), y.double(), n_projections=200, seed=0)
    yield Part("sliced_w2", partial(sliced_w2, x, y), "POT", pot)

    ours, naive = partial(EmpiricalScore(train), x, SIGMA), partial(score_by_state, train, x[:few])
    yield Part("empirical score", ours, "state by state", naive, few / n)


# the tables


def compare(part: Part, repeats: int, seconds: float) -> None:
    """Print the row of a part; a repeat calls each way for about ``seconds`` or once."""
    ways = (part.ours, part.naive)
    for way in ways:
        way()  # first calls allocate
    calls = [max(1, round(seconds / harness.lap(way))) for way in ways]
    laps = harness.in_turn(ways, repeats, calls)
    ours = [1e3 * a / part.units for a, _ in laps]
    naive = [1e3 * b / part.units / part.share for _, b in laps]
    ratios = [b / a for a, b in zip(ours, naive, strict=True)]
    print(f"{part.name:22}{median(ours):10.4f}  {part.beside:22}{median(naive):10.4f}", end="")
    print(f"  {harness.spread(ratios, '.2f', 8)}", flush=True)


def table(repeats: int, seconds: float) -> None:
    """Compare all parts."""
    train = harness.prepared(Lorenz()).train
    print(f"batch size {BATCH}, {torch.get_num_threads()} threads, {repeats} repeats; ms each")
    print(f"{'part':22}{'ours':>10}  {'beside':22}{'its time':>10}  {'ratio':>8}  [range]")
    for parts in (data_parts, step_parts, simulation_parts, metric_parts):
        for part in parts(train):
            compare(part, repeats, seconds)


def training() -> None:
    """Train Lorenz with the default configuration, one thread, and print the CPU seconds."""
    spent = {"import": time.process_time()}
    torch.set_num_threads(1)
    data = Lorenz()
    _, spent["data"] = harness.timed(data.setup)
    model = FlowModel(data.shape, data.snapshots.train)
    for stage, build in (
        ("score", lambda: ScoreModule(model.score)),
        ("flow", lambda: FlowModule(model.field, model.score, SIGMA)),
    ):
        module = build()
        trainer = quiet_trainer(module.steps, accelerator="cpu", num_sanity_val_steps=0)
        _, spent[stage] = harness.timed(partial(trainer.fit, module, datamodule=data))
    model.field.normalise_(noised_batches(data.snapshots.train, SIGMA))
    evaluate = partial(residuals, model.field, model.score, data.snapshots, SIGMA, Protocol())
    numbers, spent["residuals"] = harness.timed(torch.no_grad()(evaluate))
    spent["score + flow"] = spent["score"] + spent["flow"]
    print("Lorenz, default configuration, 1 thread: CPU seconds")
    for name, value in spent.items():
        print(f"{name:12}{value:8.2f}")
    for name, value in numbers.items():
        print(f"{name:30}{value:10.4f}")


if __name__ == "__main__":
    asked = harness.options(__doc__, training=False, threads=cpu_count(), repeats=5, seconds=0.1)
    training() if asked.training else table(asked.repeats, asked.seconds)
