"""Trainers: one without logs or files, and checkpoints that reach the disk whole."""

import logging
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from eqflow.runtime import store

LIGHTNINGS_OWN = "`isinstance\\(treespec, LeafSpec\\)` is deprecated"
"""Start of what torch 2.13 warns of in pytorch-lightning 2.6, which no caller can mend."""


class AtomicCheckpoints(TorchCheckpointIO):
    """Plugin of the trainer that replaces a checkpoint in one step.

    Lightning writes by way of the system's temporary folder. If that is on another disk the file is
    copied, and a process killed meanwhile would leave half a checkpoint.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        store.save(Path(path), checkpoint)


def quiet_trainer(steps: int, progress: bool = False, **options: Any) -> pl.Trainer:
    """A trainer of ``steps`` on one device that writes no logs and no files.

    ``progress`` shows a progress bar; other ``options`` are those of Lightning's ``Trainer``.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # it would list devices
    warnings.filterwarnings("ignore", LIGHTNINGS_OWN)
    return pl.Trainer(
        devices=1,
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=progress,
        **options,
    )
