"""What Lightning adds to a training step, beside the same training as a bare loop.

    python benchmarks/trainer_overhead.py

Both run the same `training_step` on the same batches with the same optimizer and schedule, in turn
within one process: at the start of every epoch of the Trainer the bare loop trains an epoch too.
The first epoch is dropped. Logger, callbacks, progress bar and validation are off. Prints the time
of a step, the median ratio and its range, and how far the two trained weights are apart.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from benchmarks.speed import (  # noqa: E402
    BATCH_SIZE,
    FlowAlone,
    Loop,
    ScoreAlone,
    spread,
    trainer,
)
from data_modules import Lorenz  # noqa: E402
from eqflow.model import FlowModel  # noqa: E402
from eqflow.training import FlowModule, ScoreModule, StageModule, train_loader  # noqa: E402

EPOCH_STEPS = 100


class InTurn(StageModule):
    """A stage under a Trainer that lets a bare loop train before each of its own epochs."""

    def watch(self, loop: Loop, states: Tensor, batch_size: int) -> None:
        """Train beside ``loop``; the times of both go to ``laps``, an epoch each."""
        self.laps: list[tuple[float, float]] = []
        self.loop, self.bare, self.started = [loop], 0.0, 0.0  # a list hides it from Lightning
        self.loader = train_loader(states, batch_size, EPOCH_STEPS, self.seed)

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self._stop()
        started, (loop,) = time.perf_counter(), self.loop
        self.loader.sampler.first_step = loop.module.global_step
        for batch in self.loader:
            loop(batch)
        self.started = time.perf_counter()
        self.bare = self.started - started

    def on_train_end(self) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.started:
            self.laps.append((time.perf_counter() - self.started, self.bare))


class ScoreInTurn(InTurn, ScoreModule):
    """The score's stage."""


class FlowInTurn(InTurn, FlowModule):
    """The flow's stage."""


def measure(stage: str, states: Tensor, batch_size: int, repeats: int) -> None:
    """Print one row."""
    steps = (repeats + 1) * EPOCH_STEPS
    ours, bare = (FlowModel(states.shape[1:], states) for _ in range(2))
    module: ScoreInTurn | FlowInTurn
    alone: ScoreAlone | FlowAlone
    if stage == "score":
        module, alone = ScoreInTurn(ours.score, steps), ScoreAlone(bare.score, steps)
    else:
        module = FlowInTurn(ours.field, ours.score, steps=steps)
        alone = FlowAlone(bare.field, bare.score, steps=steps)
    module.watch(Loop(alone), states, batch_size)
    loader = train_loader(states, batch_size, EPOCH_STEPS, seed=0)
    trainer(max_steps=steps, limit_val_batches=0).fit(module, loader)
    laps = [(1e3 * a / EPOCH_STEPS, 1e3 * b / EPOCH_STEPS) for a, b in module.laps[1:]]
    under, without = (median(times) for times in zip(*laps, strict=True))
    pairs = zip(module.parameters(), alone.parameters(), strict=True)
    apart = max((p - q).abs().max().item() for p, q in pairs)
    print(f"{stage:6}{batch_size:6}{under:12.2f}{without:9.2f}{under - without:8.2f}  ", end="")
    print(f"{spread([a / b for a, b in laps])}  {apart:.1e}", flush=True)


def main() -> None:
    """Every stage at every batch size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[BATCH_SIZE, 256, 4096])
    parser.add_argument("--repeats", type=int, default=4, help=f"epochs of {EPOCH_STEPS} steps")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = Lorenz()
    data.setup()
    print(f"{arguments.threads} threads, {arguments.repeats} repeats; ms a step")
    print("stage  batch   Lightning     bare   extra     ratio  [range]     weights apart")
    for batch_size in arguments.batch_sizes:
        for stage in ("score", "flow"):
            measure(stage, data.snapshots.train, batch_size, arguments.repeats)


if __name__ == "__main__":
    main()
