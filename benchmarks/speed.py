"""Speed of every part beside a naive version of it, as ratios within one run.

    python benchmarks/speed.py                 # table: ours, naive, naive / ours [range]
    python benchmarks/speed.py --training      # Lorenz, score and flow, in CPU seconds

Both are called in turn: a table's time is the median over repeats, its ratio the median of the
repeats' own ratios. A naive version that is too slow is timed on a share of the work and scaled.
Defaults of the shipped configuration throughout.
"""

import argparse
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from math import dist, exp
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # in place of this folder, whose trainer_overhead.py is not the package

import pytorch_lightning as pl  # noqa: E402
import torch  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from data_modules import Lorenz  # noqa: E402
from eqflow.evaluation import Protocol, residuals  # noqa: E402
from eqflow.fields import VelocityField, build_field  # noqa: E402
from eqflow.metrics import mmd2, mmd2_splits, sliced_w2  # noqa: E402
from eqflow.model import FlowModel  # noqa: E402
from eqflow.score import EmpiricalScore, MLPScore, Score, build_score  # noqa: E402
from eqflow.simulate import RK4  # noqa: E402
from eqflow.systems import Lorenz63  # noqa: E402
from eqflow.training import (  # noqa: E402
    Batch,
    FlowModule,
    ScoreModule,
    StageModule,
    noised_batches,
    train_loader,
)

BATCH_SIZE: int = OmegaConf.load(ROOT / "conf" / "config.yaml").batch_size
SIGMA = 0.2


class Part(NamedTuple):
    """Two ways to the same result; ``share`` is the part of the work that the naive one does."""

    name: str
    ours: Callable[[], Any]
    beside: str
    naive: Callable[[], Any]
    share: float = 1.0
    units: int = 1  # what one call of ours makes; times are given per unit


# training without a trainer


class Alone(StageModule):
    """A stage that trains without a Trainer: it counts its own steps and logs nothing."""

    global_step = 0

    def log(self, *_: Any, **__: Any) -> None:
        pass


class ScoreAlone(Alone, ScoreModule):
    """The score's stage without a Trainer."""


class FlowAlone(Alone, FlowModule):
    """The flow's stage without a Trainer."""


class Loop:
    """The training loop that a Trainer runs, written out: one step a call."""

    def __init__(self, module: Alone) -> None:
        self.module = module
        configured = module.configure_optimizers()
        self.optimizer = configured["optimizer"]
        self.schedule = configured["lr_scheduler"]["scheduler"]

    def __call__(self, batch: Batch) -> None:
        self.optimizer.zero_grad()
        self.module.loss(batch, self.module.global_step).backward()
        self.optimizer.step()
        self.schedule.step()
        self.module.global_step += 1


# the naive versions


class AutogradScore(MLPScore):
    """The energy's gradient by a nested automatic derivative."""

    def network_output(self, x: Tensor, sigma: Tensor) -> Tensor:
        with torch.enable_grad():
            u = self._unit_inputs(x, sigma).requires_grad_()
            (gradient,) = torch.autograd.grad(self.network(u).sum(), u, create_graph=True)
        return -gradient[:, :-1]


class Opaque(nn.Module):
    """A field that hides its own divergence pass: the generic vectorised jvp has to do."""

    def __init__(self, field: VelocityField) -> None:
        super().__init__()
        self.field, self.shape = field, field.shape

    def forward(self, x: Tensor) -> Tensor:
        return self.field(x)


class ByDimension(Opaque):
    """Divergence by one automatic derivative per dimension."""

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

    n, m = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(n) for j in range(i)) * 2 / (n * (n - 1))
    within_y = sum(kernel(y[i], y[j]) for i in range(m) for j in range(i)) * 2 / (m * (m - 1))
    return within_x + within_y - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


def score_by_state(points: Tensor, queries: Tensor) -> Tensor:
    """Empirical score, one query after the other, from explicit distances."""
    rows = []
    for query in queries:
        weights = torch.softmax(-(points - query).square().sum(1) / (2 * SIGMA**2), dim=0)
        rows.append((weights @ points - query) / SIGMA**2)
    return torch.stack(rows)


def each(function: Callable[[Tensor], Any], states: Tensor) -> None:
    """Call ``function`` on one state after the other."""
    for state in states.split(1):
        function(state)


def passes(loader: DataLoader) -> None:
    """Draw every batch once."""
    for _ in loader:
        pass


# the parts


def data_parts(train: Tensor) -> Iterator[Part]:
    """Batches and the Lorenz sampler."""
    steps = -(-len(train) // BATCH_SIZE)
    items = DataLoader(TensorDataset(train), batch_size=BATCH_SIZE, shuffle=True)
    ours = partial(passes, train_loader(train, BATCH_SIZE, steps, seed=0))
    yield Part("batch", ours, "items collated", partial(passes, items), units=steps)

    n, few = 53_000, 20
    sample = Lorenz63().sample
    one = partial(sample, few, seed=0, runs=1, transient=1.0)  # a long run's transient is nothing
    yield Part("Lorenz state", partial(sample, n, seed=0), "one trajectory", one, few / n, n)


def step_parts(train: Tensor) -> Iterator[Part]:
    """Training steps: the score by gradient, the flow by divergence, in 3 and 32 dimensions."""
    batch = next(iter(train_loader(train, BATCH_SIZE, 1, seed=0)))

    def score(kind: type[MLPScore]) -> Callable[[], None]:
        return partial(Loop(ScoreAlone(kind((3,)))), batch)

    yield Part("score step", score(MLPScore), "autograd.grad", score(AutogradScore))

    for dim in (3, 32):
        draw = torch.Generator().manual_seed(0)
        states = batch.states if dim == 3 else torch.randn(BATCH_SIZE, dim, generator=draw)
        for beside, wrap, divergence in (
            ("vectorised jvp", Opaque, "exact"),
            ("hutchinson", Opaque, "hutchinson"),
            ("autograd.grad per dim", ByDimension, "exact"),
        ):
            ours = partial(flow_loop(dim), Batch(states, BATCH_SIZE))
            naive = partial(flow_loop(dim, wrap, divergence), Batch(states, BATCH_SIZE))
            yield Part(f"flow step, d = {dim}", ours, beside, naive)


def flow_loop(
    dim: int, wrap: Callable[[VelocityField], nn.Module] = nn.Identity, divergence: str = "exact"
) -> Loop:
    """A flow's training with its field wrapped, or as it is."""
    score = build_score("mlp", (dim,), torch.empty(0, dim))
    field = build_field("network", (dim,), score, SIGMA)
    field = field if wrap is nn.Identity else wrap(field)
    return Loop(FlowAlone(field, score, SIGMA, divergence=divergence))


def simulation_parts(train: Tensor) -> Iterator[Part]:
    """One RK4 step of 1,000 states."""
    model, n, few, steps = FlowModel((3,), train), 1000, 10, 20
    integrate, times = RK4(), torch.tensor([0.0, 0.05 * steps])
    for family in ("network", "skew"):
        field = build_field(family, (3,), model.score, SIGMA)
        field.normalise_(noised_batches(train, SIGMA))
        move = partial(simulate, integrate, field, times)
        ours, naive = partial(move, train[:n]), partial(each, move, train[:few])
        yield Part(f"RK4 step of {family}", ours, "state by state", naive, few / n, steps)


@torch.no_grad()
def simulate(integrate: RK4, field: VelocityField, times: Tensor, x0: Tensor) -> None:
    """Integrate without a graph."""
    integrate(field, x0, times)


def metric_parts(train: Tensor) -> Iterator[Part]:
    """Measures of 1,000 against 1,000 states, and the empirical score."""
    import ot

    n, few, splits, calls = 1000, 40, 200, 5
    x, y = train[:n], train[n : 2 * n]
    pairs = partial(mmd2_by_pairs, x[:few].tolist(), y[:few].tolist(), 0.5)
    yield Part("mmd2", partial(mmd2, x, y, 0.5), "pair by pair", pairs, (few / n) ** 2)

    draw = torch.Generator().manual_seed(0)
    states, orders = train[: 2 * n], [torch.randperm(2 * n, generator=draw) for _ in range(splits)]
    first = torch.stack([order < n for order in orders], dim=1)

    def explicit() -> None:
        for order in orders[:calls]:
            mmd2(*states[order].split(n), 0.5)

    floor = partial(mmd2_splits, states, 0.5, first)
    yield Part("resampling floor", floor, "mmd2 per split", explicit, calls / splits)

    pot = partial(ot.sliced_wasserstein_distance, x.double(), y.double(), n_projections=200, seed=0)
    yield Part("sliced_w2", partial(sliced_w2, x, y), "POT", pot)

    score: Score = EmpiricalScore(train)
    naive = partial(score_by_state, train, x[:few])
    yield Part("empirical score", partial(score, x, SIGMA), "state by state", naive, few / n)


# timing


def lap(function: Callable[[], Any], calls: int = 1) -> float:
    """Mean wall seconds of ``calls`` calls."""
    started = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - started) / calls


def spread(values: list[float]) -> str:
    """Median and range."""
    return f"{median(values):8.2f}  [{min(values):.2f}, {max(values):.2f}]"


def compare(part: Part, repeats: int, seconds: float) -> None:
    """Print a part's row; a repeat calls each way for about ``seconds`` or once."""
    ways = (part.ours, part.naive)
    for way in ways:
        way()  # first calls allocate
    calls = [max(1, round(seconds / lap(way))) for way in ways]
    laps = [[lap(way, n) for way, n in zip(ways, calls, strict=True)] for _ in range(repeats)]
    ours = [1e3 * a / part.units for a, _ in laps]
    naive = [1e3 * b / part.units / part.share for _, b in laps]
    ratios = [b / a for a, b in zip(ours, naive, strict=True)]
    print(f"{part.name:22}{median(ours):10.4f}  {part.beside:22}{median(naive):10.4f}", end="")
    print(f"  {spread(ratios)}", flush=True)


def table(repeats: int, seconds: float) -> None:
    """Compare all parts."""
    data = Lorenz()
    data.setup()
    train = data.snapshots.train
    print(f"batch size {BATCH_SIZE}, {torch.get_num_threads()} threads, {repeats} repeats; ms each")
    print(f"{'part':22}{'ours':>10}  {'beside':22}{'its time':>10}  {'ratio':>8}  [range]")
    for parts in (data_parts, step_parts, simulation_parts, metric_parts):
        for part in parts(train):
            compare(part, repeats, seconds)


def trainer(**switches: Any) -> pl.Trainer:
    """The Trainer of `trainer=cpu`, with neither logger, callbacks nor progress bar."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    options = dict(OmegaConf.load(ROOT / "conf" / "trainer" / "cpu.yaml"))
    del options["_target_"]
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return pl.Trainer(**options, **silent, **switches)


def training() -> None:
    """Train Lorenz with the default configuration, one thread, and state the CPU seconds."""
    spent = {"import": time.process_time()}
    torch.set_num_threads(1)

    def measure(name: str, function: Callable[[], Any]) -> Any:
        started = time.process_time()
        result = function()
        spent[name] = time.process_time() - started
        return result

    data = Lorenz()
    measure("data", data.setup)
    model = FlowModel(data.shape, data.snapshots.train)
    for stage, module in (
        ("score", lambda: ScoreModule(model.score)),
        ("flow", lambda: FlowModule(model.field, model.score, SIGMA)),
    ):
        built = module()
        measure(stage, partial(trainer(max_steps=built.steps).fit, built, datamodule=data))
    model.field.normalise_(noised_batches(data.snapshots.train, SIGMA))
    with torch.no_grad():
        call = partial(residuals, model.field, model.score, data.snapshots, SIGMA, Protocol())
        numbers = measure("residuals", call)
    print("Lorenz, default configuration, 1 thread: CPU seconds")
    for name, value in spent.items():
        print(f"{name:12}{value:8.2f}")
    print(f"{'score + flow':12}{spent['score'] + spent['flow']:8.2f}")
    for name, value in numbers.items():
        print(f"{name:30}{value:10.4f}")


def main() -> None:
    """Print the table, or train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--training", action="store_true", help="Lorenz training in CPU seconds")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the table")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="least time of one repeat")
    arguments = parser.parse_args()
    if arguments.training:
        return training()
    torch.set_num_threads(arguments.threads)
    return table(arguments.repeats, arguments.seconds)


if __name__ == "__main__":
    main()
