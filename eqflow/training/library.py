"""The closed form under Lightning: one pass of sums in the evaluation loop."""

from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics import Metric

from eqflow.discovery import Discovery
from eqflow.runtime import rank_and_world, store
from eqflow.stationarity import Sums
from eqflow.training.batches import Batch

EVERY = 32
"""Batches between two writings of the sums, which cost less than a percent of their time."""


class Moments(Metric):
    """Sums over all states that any number of processes saw; memory does not grow with them."""

    full_state_update = False
    tested: Tensor
    gram: Tensor
    states: Tensor

    def __init__(self, functions: int, terms: int, *more: int) -> None:
        super().__init__()
        self.set_dtype(torch.double)
        zeros = {
            "tested": torch.zeros(functions, terms, *more).double(),
            "gram": torch.zeros(terms, terms).double(),
            "states": torch.zeros((), dtype=torch.long),
        }
        for name, zero in zeros.items():
            self.add_state(name, zero, dist_reduce_fx="sum", persistent=True)

    def update(self, sums: Sums) -> None:
        self.tested += sums.tested
        self.gram += sums.gram
        self.states += sums.states

    def compute(self) -> Sums:
        return Sums(self.tested.cpu(), self.gram.cpu(), int(self.states))


class LibraryModule(pl.LightningModule):
    """Accumulates the moments of a library field batch by batch: ``total`` after the pass.

    Runs in the test loop: ``fit`` refuses what has no trained parameters under several processes.
    Every ``EVERY`` batches the sums of all processes go to ``last``; ``resume`` goes on from there,
    with any number of processes.
    """

    stage = "flow"
    total: Sums

    def __init__(self, discovery: Discovery, last: Path) -> None:
        super().__init__()
        self.discovery, self.field, self.last = discovery, discovery.field, last
        self.moments = Moments(*discovery.tested)

    def resume(self) -> int:
        """Take up the sums written to ``last``; how many states, the first ones, are in them."""
        written = store.load_stage(self.last, "resume")["state_dict"]
        if rank_and_world()[0] == 0:  # they are those of all processes
            store.fill(self.moments, written, f"{self.last}")
        return int(written["states"])

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        if batch_idx and batch_idx % EVERY == 0:  # before a batch: one is always left to resume
            self.write()
        if len(batch.states):
            self.moments.update(self.discovery.sums(batch.states))

    def write(self) -> None:
        """Put the sums of all processes so far into ``last``."""
        with self.moments.sync_context():
            if rank_and_world()[0] == 0:
                sums = self.moments.state_dict()
                store.save_stage(self.last, self.stage, {"state_dict": sums})

    def on_test_epoch_end(self) -> None:
        self.total = self.moments.compute()
