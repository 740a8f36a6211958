"""One pass over the snapshots that sums the moments of a library, under Lightning.

A library field has no trained weights: its coefficients follow from these sums in closed form
(method section 5).
"""

from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics import Metric

from eqflow.discovery import Discovery
from eqflow.runtime import rank_and_world, store
from eqflow.stationarity import Sums
from eqflow.training.batches import Batch

BATCHES_PER_WRITE = 32
"""Batches between two writings of the sums to disk, which take less than a percent of the time."""


class Moments(Metric):
    """Sums over the states that all processes saw, of the library's moments.

    Arguments are the shape of :attr:`Discovery.tested`: numbers of test functions and of terms and,
    of images, of channels. The size of the sums does not grow with the number of states.
    """

    full_state_update = False
    tested: Tensor
    gram: Tensor
    states: Tensor

    def __init__(self, functions: int, terms: int, *more: int) -> None:
        super().__init__()
        self.set_dtype(torch.double)
        tested = torch.zeros(functions, terms, *more).double()
        self.add_state("tested", tested, "sum", persistent=True)
        self.add_state("gram", torch.zeros(terms, terms).double(), "sum", persistent=True)
        self.add_state("states", torch.tensor(0), "sum", persistent=True)

    def update(self, sums: Sums) -> None:
        self.tested += sums.tested
        self.gram += sums.gram
        self.states += sums.states

    def compute(self) -> Sums:
        return Sums(self.tested.cpu(), self.gram.cpu(), int(self.states))


class LibraryModule(pl.LightningModule):
    """Sums the moments of a library field over all batches; ``total`` holds them after the pass.

    It runs in the trainer's test loop, since ``fit`` refuses a module without trained parameters
    under several processes. Every ``BATCHES_PER_WRITE`` batches the sums of all processes are
    written to the file ``last``, from which :meth:`resume` continues with any number of processes.
    """

    stage = "flow"
    total: Sums

    def __init__(self, discovery: Discovery, last: Path) -> None:
        super().__init__()
        self.discovery, self.field, self.last = discovery, discovery.field, last
        self.moments = Moments(*discovery.tested)

    def resume(self) -> int:
        """Continue from the sums in ``last``; returns how many of the first states are in them."""
        written = store.load_stage(self.last, "resume")["state_dict"]
        if rank_and_world()[0] == 0:  # they are those of all processes
            store.fill(self.moments, written, f"{self.last}")
        return int(written["states"])

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        if batch_idx and batch_idx % BATCHES_PER_WRITE == 0:
            self.write()  # before a batch is taken: one is always left to resume with
        if len(batch.states):
            self.moments.update(self.discovery.sums(batch.states))

    def write(self) -> None:
        """Write the sums of all processes so far to ``last``."""
        with self.moments.sync_context():
            if rank_and_world()[0] == 0:
                sums = self.moments.state_dict()
                store.save_stage(self.last, self.stage, {"state_dict": sums})

    def on_test_epoch_end(self) -> None:
        self.total = self.moments.compute()
