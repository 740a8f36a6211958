"""The last word to every logger: the full numbers, the figures, and how the run ended."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pytorch_lightning.loggers import Logger

from callbacks.wandb_run import Wandb


def log_result(loggers: Sequence[Logger], metrics: Mapping[str, float], folder: Path) -> None:
    """Log the full evaluation of the run in ``folder``: numbers, and all that W&B can show."""
    for logger in loggers:
        if isinstance(logger, Wandb):
            logger.log_result(metrics, folder)
        else:
            logger.log_metrics(dict(metrics))


def finish(loggers: Sequence[Logger], failed: bool) -> None:
    """End every logger with the run's status, so that the next job of a sweep starts its own."""
    for logger in loggers:
        logger.finalize("failed" if failed else "success")
        if isinstance(logger, Wandb):
            logger.finish(failed)
