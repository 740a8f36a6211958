"""Ctrl-C and SIGTERM, sent before a machine is taken away: training is saved, the run ends."""

import signal
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from eqflow.signals import ENDING, end


class Preemption(Checkpoint):
    """On Ctrl-C or SIGTERM saves the training, or the pass of a library, to ``last``; the run ends.

    That happens after the batch at hand, by ``SystemExit`` with code 130 or 143; at the end of an
    epoch validation comes first, so that its row of the history is complete. A second Ctrl-C does
    not wait for it. As a ``Checkpoint`` it comes after all callbacks that have a part in a training
    step.

    Lightning's own handler calls a collective operation wherever the signal finds a process, so
    that processes meet in different ones. This one notes the signal, and all processes agree after
    every batch.
    """

    def __init__(self, last: Path) -> None:
        self.last = last
        self.told: int | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for number in ENDING:
            signal.signal(number, self._tell)  # the trainer puts back what it found

    on_test_start = on_train_start

    def _tell(self, number: int, *_: Any) -> None:
        self.told = number
        if number == signal.SIGINT:
            signal.signal(number, end)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        ends = trainer.is_last_batch or trainer.global_step == trainer.max_steps
        if not ends and self._all_told(trainer):
            trainer.save_checkpoint(self.last)
            self._end()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._all_told(trainer):  # the epoch's end was saved
            self._end()

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        if self._all_told(trainer):
            pl_module.write()
            self._end()

    def _all_told(self, trainer: pl.Trainer) -> bool:
        return trainer.strategy.reduce_boolean_decision(self.told is not None, all=False)

    def _end(self) -> None:
        end(self.told or signal.SIGTERM)  # another process may have been told
