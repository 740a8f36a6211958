"""Curves of a training, kept with its checkpoints."""

from typing import Any

import pytorch_lightning as pl


class History(pl.Callback):
    """Collects the logged numbers of each epoch as a row of ``rows``, with its ``step``.

    Checkpoints hold the rows, so that they survive an interruption, also within an epoch.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.before: dict[str, float] = {}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.rows and self.rows[-1]["step"] == trainer.global_step:
            return  # the trainer closes the stored epoch once more when it resumes
        self.rows.append({"step": trainer.global_step, **self._latest(trainer)})

    def _latest(self, trainer: pl.Trainer) -> dict[str, float]:
        now = {name: float(value) for name, value in trainer.callback_metrics.items()}
        return self.before | now  # a trainer that resumes knows nothing of what was measured before

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["measured"] = {"rows": self.rows, "before": self._latest(trainer)}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.rows, self.before = checkpoint["measured"]["rows"], checkpoint["measured"]["before"]
