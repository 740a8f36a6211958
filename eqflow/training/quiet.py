"""A trainer for use without a run's folder."""

import logging
from typing import Any

import pytorch_lightning as pl


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
