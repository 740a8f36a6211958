"""Preservation while training: the light protocol of the one evaluation."""

import copy
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl

from eqflow.evaluation import Protocol, Reference, preservation
from eqflow.fields import VelocityField
from eqflow.simulate import RK4
from eqflow.training import noised_batches


class Preservation(pl.Callback):
    """Logs ``preservation/mmd2_ratio`` and ``escaped`` of the field as it stands, every validation.

    A light protocol on the validation split: ``starts`` states, the ODE to ``horizon`` transit
    times. The test split is left for the end. Modules without one velocity field, those of a score
    or of an ensemble, are passed over.
    """

    def __init__(self, starts: int = 256, horizon: float = 5.0) -> None:
        self.reference: Reference | None = None
        self.protocol = Protocol(horizons=(horizon,), starts=starts, transport=False)

    def on_validation_epoch_end(self, trainer: Any, pl_module: pl.LightningModule) -> None:
        trained = getattr(pl_module, "field", None)
        if not isinstance(trained, VelocityField):
            return
        if self.reference is None:
            whole = trainer.datamodule.snapshots.to(pl_module.device)
            validation = replace(whole, test=whole.val)
            self.reference = Reference(validation, trained.sigma, self.protocol)
        states = noised_batches(self.reference.snapshots.val, trained.sigma)
        field = copy.deepcopy(trained).normalise_(states)
        numbers = preservation(field, None, self.reference, RK4(0.1))
        for name in ("mmd2_ratio", "escaped"):
            pl_module.log(f"{pl_module.stage}/preservation/{name}", numbers[f"preservation/{name}"])
