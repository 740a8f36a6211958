"""The checkpoint that an interrupted training continues from."""

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint


class Last(Checkpoint):
    """Saves the training to ``path`` every ``every_n_epochs`` epochs, in place of the one before.

    Lightning's own would warn that the folder holds what an earlier stage has saved.
    """

    def __init__(self, path: str, every_n_epochs: int = 1) -> None:
        self.path, self.every_n_epochs = Path(path), every_n_epochs

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            trainer.save_checkpoint(self.path)
