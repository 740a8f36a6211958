"""The closed form under Lightning: one pass of sums in the evaluation loop, then the solve."""

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics import Metric

from eqflow.discovery import Discovery
from eqflow.findings import Findings
from eqflow.stationarity import Sums
from eqflow.training.batches import Batch


class Moments(Metric):
    """Sums over all states that any number of processes saw; memory does not grow with them."""

    full_state_update = False
    tested: Tensor
    gram: Tensor
    states: Tensor

    def __init__(self, functions: int, terms: int) -> None:
        super().__init__()
        self.set_dtype(torch.double)
        self.add_state("tested", torch.zeros(functions, terms).double(), dist_reduce_fx="sum")
        self.add_state("gram", torch.zeros(terms, terms).double(), dist_reduce_fx="sum")
        self.add_state("states", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, sums: Sums) -> None:
        self.tested += sums.tested
        self.gram += sums.gram
        self.states += sums.states

    def compute(self) -> Sums:
        return Sums(self.tested, self.gram, int(self.states))


class LibraryModule(pl.LightningModule):
    """Fits a library field: accumulates its moments batch by batch, then chooses the terms.

    Runs in the test loop: ``fit`` refuses what has no trained parameters under several processes.
    """

    stage = "flow"
    findings: Findings

    def __init__(self, discovery: Discovery) -> None:
        super().__init__()
        self.discovery, self.field = discovery, discovery.field
        self.moments = Moments(len(discovery.functions), len(discovery.field.terms))

    def test_step(self, batch: Batch) -> None:
        if len(batch.states):
            self.moments.update(self.discovery.sums(batch.states))

    def on_test_epoch_end(self) -> None:
        self.findings = self.discovery.run(self.moments.compute())
