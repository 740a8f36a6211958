"""What Lightning adds to a training step, beside the same training as a bare loop.

    python benchmarks/trainer_overhead.py

Both train on the same batches with the same optimizer and schedule, in turn within one process: at
the start of each of the `--repeats` epochs of 100 steps of the Trainer the bare loop trains an
epoch too. A first epoch is dropped. Logger, progress bar and validation are off. Prints the time of
a step, the median ratio and its range, and how far the two trained weights are apart.
"""

import time
from os import cpu_count
from statistics import median

import harness
from harness import BATCH, Loop
from pytorch_lightning import Callback
from torch import Tensor

from data_modules import Lorenz
from eqflow.model import FlowModel
from eqflow.training import FlowModule, ScoreModule, StageModule, quiet_trainer, train_loader

EPOCH_STEPS = 100


class InTurn(Callback):
    """Lets a bare loop train before each epoch of a Trainer; ``laps`` are the seconds of both."""

    def __init__(self, loop: Loop, states: Tensor, batch_size: int) -> None:
        self.loop, self.loader = loop, train_loader(states, batch_size, EPOCH_STEPS, seed=0)
        self.laps: list[tuple[float, float]] = []
        self.bare = self.started = 0.0

    def on_train_epoch_start(self, *_: object) -> None:
        self.on_train_end()
        self.loader.sampler.first_step = self.loop.step
        started = time.perf_counter()
        for batch in self.loader:
            self.loop(batch)
        self.started = time.perf_counter()
        self.bare = self.started - started

    def on_train_end(self, *_: object) -> None:
        if self.started:
            self.laps.append((time.perf_counter() - self.started, self.bare))


def module(stage: str, states: Tensor, steps: int) -> StageModule:
    """A stage of training, untrained; every time with the same weights."""
    model = FlowModel(states.shape[1:], states)
    if stage == "score":
        return ScoreModule(model.score, steps)
    return FlowModule(model.field, model.score, steps=steps)


def measure(stage: str, states: Tensor, batch_size: int, repeats: int) -> None:
    """Print one row."""
    steps = (repeats + 1) * EPOCH_STEPS
    ours, alone = (module(stage, states, steps) for _ in range(2))
    turns = InTurn(Loop(alone), states, batch_size)
    loader = train_loader(states, batch_size, EPOCH_STEPS, seed=0)
    quiet_trainer(steps, accelerator="cpu", callbacks=[turns]).fit(ours, loader)
    laps = [(1e3 * a / EPOCH_STEPS, 1e3 * b / EPOCH_STEPS) for a, b in turns.laps[1:]]
    under, without = (median(times) for times in zip(*laps, strict=True))
    pairs = zip(ours.parameters(), alone.parameters(), strict=True)
    apart = max((p - q).abs().max().item() for p, q in pairs)
    print(f"{stage:6}{batch_size:6}{under:12.2f}{without:9.2f}{under - without:8.2f}  ", end="")
    print(f"{harness.spread([a / b for a, b in laps], '.2f', 8)}  {apart:.1e}", flush=True)


if __name__ == "__main__":
    asked = harness.options(__doc__, batch_sizes=[BATCH, 256, 4096], repeats=4, threads=cpu_count())
    train = harness.prepared(Lorenz()).train
    print(f"{asked.threads} threads, {asked.repeats} repeats; ms a step")
    print("stage  batch   Lightning     bare   extra     ratio  [range]     weights apart")
    for batch_size in asked.batch_sizes:
        for stage in ("score", "flow"):
            measure(stage, train, batch_size, asked.repeats)
