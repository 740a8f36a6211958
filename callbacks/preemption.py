"""SIGTERM, sent before a machine is taken away: the training is saved, then the run ends."""

import signal
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.utilities.exceptions import SIGTERMException


class Preemption(Checkpoint):
    """On SIGTERM saves the training, or the pass of a library, to ``last`` and ends the run.

    That happens after the batch at hand, by ``SystemExit`` with code 143; at the end of an epoch
    validation comes first, so that its row of the history is complete. As a ``Checkpoint`` it comes
    after all callbacks that have a part in a training step.

    Lightning's own handler calls a collective operation wherever the signal finds a process, so
    that processes meet in different ones. This one notes the signal, and all processes agree after
    every batch.
    """

    def __init__(self, last: Path) -> None:
        self.last, self.told = last, False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        signal.signal(signal.SIGTERM, self._tell)  # the trainer puts back what it found

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        signal.signal(signal.SIGTERM, self._tell)

    def _tell(self, *_: Any) -> None:
        self.told = True

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        ends = trainer.is_last_batch or trainer.global_step == trainer.max_steps
        if not ends and self._all_told(trainer):
            trainer.save_checkpoint(self.last)
            _end()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._all_told(trainer):  # the epoch's end was saved
            _end()

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        if self._all_told(trainer):
            pl_module.write()
            _end()

    def _all_told(self, trainer: pl.Trainer) -> bool:
        return trainer.strategy.reduce_boolean_decision(self.told, all=False)


def _end() -> None:
    raise SIGTERMException(128 + signal.SIGTERM)
