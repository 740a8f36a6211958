"""Preservation while training: the light protocol of the one evaluation."""

import copy
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl

from eqflow.data import Snapshots
from eqflow.evaluation import Protocol, preservation
from eqflow.score import Score
from eqflow.simulate import RK4
from eqflow.training import FlowModule, StreamModule, WeakModule, noised_batches


class Preservation(pl.Callback):
    """Logs ``preservation/mmd2_ratio`` and ``escaped`` of the field as it stands, every validation.

    A light protocol on the validation split: ``starts`` states, the ODE to ``horizon`` transit
    times. The test split is left for the end.
    """

    def __init__(self, starts: int = 256, horizon: float = 5.0) -> None:
        self.snapshots: Snapshots | None = None
        self.protocol = Protocol(horizons=(horizon,), starts=starts, transport=False)

    def on_validation_epoch_end(self, trainer: Any, pl_module: pl.LightningModule) -> None:
        if not isinstance(pl_module, FlowModule | StreamModule | WeakModule):
            return
        if self.snapshots is None:
            whole = trainer.datamodule.snapshots.to(pl_module.device)
            self.snapshots = replace(whole, test=whole.val, memory={})
        snapshots, sigma = self.snapshots, pl_module.sigma
        field = copy.deepcopy(pl_module.field).normalise_(noised_batches(snapshots.val, sigma))
        # an ODE asks for no score
        numbers = preservation(field, Score(), snapshots, RK4(), sigma, self.protocol)
        for name in ("mmd2_ratio", "escaped"):
            pl_module.log(f"flow/preservation/{name}", numbers[f"preservation/{name}"])
