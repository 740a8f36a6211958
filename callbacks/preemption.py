"""SIGTERM, by which a machine is taken away: what was trained is saved, then the run ends."""

import signal
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.exceptions import SIGTERMException


class Preemption(pl.Callback):
    """On SIGTERM ends the training, or a library's pass, after the batch at hand.

    ``last`` then holds it, and ``SystemExit`` is raised with code 143. At the end of an epoch the
    validation comes first, so that its row of the history is whole.

    Lightning's own handler calls a collective wherever the signal finds each process; these then
    meet in different ones. Ours only notes the signal, and all agree after every batch.
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
