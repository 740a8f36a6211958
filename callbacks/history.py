"""The curve of a training, kept with its checkpoints."""

from typing import Any

import pytorch_lightning as pl


class History(pl.Callback):
    """One row of measures per epoch in ``rows``; it survives an interruption."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.rows and self.rows[-1]["step"] == trainer.global_step:
            return  # the trainer closes the stored epoch once more when it resumes
        numbers = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.rows.append({"step": trainer.global_step, **numbers})

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]
