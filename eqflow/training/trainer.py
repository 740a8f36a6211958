"""How the trainer's checkpoints reach the disk."""

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from eqflow.runtime import store


class AtomicCheckpoints(TorchCheckpointIO):
    """Replaces a checkpoint in one step.

    The trainer's own way goes through the system's temporary folder: from another disk that is a
    copy, and a process killed meanwhile leaves half a file.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        store.save(Path(path), checkpoint)


def quiet_trainer(steps: int, progress: bool = False, **options: Any) -> pl.Trainer:
    """Of ``steps`` on one device, without logs or files; ``options`` are the trainer's own."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # what devices there are
    return pl.Trainer(
        devices=1,
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=progress,
        **options,
    )
