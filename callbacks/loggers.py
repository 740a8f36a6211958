"""The last word to every logger: the full numbers, the figures, and how the run ended."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.loggers.wandb import WandbLogger


class Wandb(WandbLogger):
    """W&B logger that leaves out the unset ``anonymous``, of which W&B would warn."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._wandb_init.pop("anonymous", None)


def log_result(
    loggers: Sequence[Logger], metrics: dict[str, float], figures: Sequence[Path]
) -> None:
    """Log the full evaluation's numbers, and its figures where a logger shows them."""
    for logger in loggers:
        logger.log_metrics(metrics)
        if isinstance(logger, WandbLogger):
            for figure in figures:
                logger.log_image(f"figures/{figure.stem}", [str(figure)])


def finish(loggers: Sequence[Logger], failed: bool) -> None:
    """End every logger with the run's status, so that the next job of a sweep starts its own."""
    for logger in loggers:
        logger.finalize("failed" if failed else "success")
        if isinstance(logger, WandbLogger):
            logger.experiment.finish(exit_code=int(failed))
