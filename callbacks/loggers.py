"""The end of a run for its loggers: final numbers, figures, and how the run ended."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pytorch_lightning.loggers import Logger

from callbacks.wandb_run import Wandb


def log_result(loggers: Sequence[Logger], metrics: Mapping[str, float], folder: Path) -> None:
    """Log the evaluation of the run in ``folder``: its numbers, and to W&B its figures too."""
    for logger in loggers:
        if isinstance(logger, Wandb):
            logger.log_result(metrics, folder)
        else:
            logger.log_metrics(dict(metrics))


def finish(loggers: Sequence[Logger], failed: bool) -> None:
    """End all loggers with the status of the run: the next job of a sweep starts its own."""
    for logger in loggers:
        logger.finalize("failed" if failed else "success")
        if isinstance(logger, Wandb):
            logger.finish(failed)
