"""How far a training is: a bar on a terminal, and lines in the log."""

import logging
import sys
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import TQDMProgressBar

from eqflow.runtime.progress import Clock

log = logging.getLogger("eqflow.training")

FIRST_LINE = 3.0
"""Seconds after which the time that a training takes can be told from its pace."""


class Progress(TQDMProgressBar):
    """Bar of each epoch where the output is a terminal; lines with loss and time left in the log.

    Args:
        refresh_rate: steps between two drawings of the bar.
    """

    def __init__(self, refresh_rate: int = 20) -> None:
        super().__init__(refresh_rate if sys.stdout.isatty() else 0)
        self.clock, self.first_step = Clock(FIRST_LINE), 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self.clock, self.first_step = Clock(FIRST_LINE), trainer.global_step

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_epoch_start(trainer, pl_module)
        epochs = -(-trainer.max_steps // int(trainer.num_training_batches))
        title = f"{pl_module.stage}, part {trainer.current_epoch + 1} of {epochs}"
        self.train_progress_bar.set_description(title)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch: Any
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, *batch)
        step, steps = trainer.global_step, trainer.max_steps
        if step < steps and self.clock.strikes():
            loss = trainer.callback_metrics.get(f"{pl_module.stage}/train_loss")
            shown = "" if loss is None else f", loss {float(loss):.3g}"
            left = self.clock.left(step - self.first_step, steps - self.first_step)
            log.info("%s: step %s of %s%s, %s", pl_module.stage, step, steps, shown, left)

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any,
        batch_idx: int, dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        super().on_test_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)
        batches = int(sum(trainer.num_test_batches))
        if self.clock.strikes():
            left = self.clock.left(batch_idx + 1, batches)
            log.info("%s: batch %s of %s, %s", pl_module.stage, batch_idx + 1, batches, left)

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """What the bar shows: the losses of the stage that it names, no number of a version."""
        shown = super().get_metrics(trainer, pl_module)
        return {n.rpartition("/")[2]: value for n, value in shown.items() if n != "v_num"}
