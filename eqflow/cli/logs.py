"""What a run says: lines on the terminal, and the same with times in ``run.log``.

``conf/config.yaml`` sends the log ``eqflow`` to both. Four logs below it are for less than both:
``eqflow.choices`` for the file alone; ``eqflow.training``, ``eqflow.progress`` and
``eqflow.summary`` also for the terminal, unless a bar shows the same or many jobs would speak.
"""

import logging
import logging.config
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from eqflow.report.text import in_ascii

log, choices = logging.getLogger("eqflow"), logging.getLogger("eqflow.choices")

SHOWN_BY_BAR = ("eqflow.training",)
"""Logs that a terminal need not show: a bar does."""

DETAILS = ("eqflow.training", "eqflow.progress", "eqflow.summary")
"""Logs that only the ``run.log`` of a sweep's job holds."""


class Console(logging.StreamHandler[Any]):
    """Handler that writes lines to the terminal, or to where the output is sent.

    Lines of a sweep's job begin with its number ``job``. Characters that the output cannot show are
    written in ASCII.
    """

    def __init__(self, stream: Any = None, job: int | None = None) -> None:
        super().__init__(stream or sys.stdout)
        self.job = job
        alone = SHOWN_BY_BAR if self.stream.isatty() else ()
        self.hidden = ("eqflow.choices", *(alone if job is None else DETAILS))

    def filter(self, record: logging.LogRecord) -> bool:
        return record.name not in self.hidden and bool(super().filter(record))

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        line = line if self.job is None else f"job {self.job}: {line}"
        try:
            line.encode(getattr(self.stream, "encoding", None) or "utf-8")
        except UnicodeEncodeError:
            return in_ascii(line)
        return line


@contextmanager
def unheard() -> Iterator[None]:
    """Context of a check that reads what the run will read: it tells of it once, then."""
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)


def introduce(cfg: DictConfig) -> None:
    """Log what is run and where; in the file also the choices of the groups and the overrides."""
    hydra = HydraConfig.get()
    chosen = {group: choice for group, choice in hydra.runtime.choices.items() if choice}
    named = {group: choice for group, choice in chosen.items() if not group.startswith("hydra/")}
    log.info("%s, flow=%s, in %s", cfg.name, named.get("flow"), cfg.run_dir)
    choices.info("choices: %s", " ".join(f"{group}={choice}" for group, choice in named.items()))
    choices.info("overrides: %s", " ".join(hydra.overrides.task) or "none")


def speak_as_rank(folder: Path, rank: int) -> None:
    """Log in the first rank as the process that launched it does, and in no other."""
    import pytorch_lightning  # noqa: F401 - which sets the level of its log

    chosen = folder / ".hydra" / "hydra.yaml"
    if rank:
        logging.disable(logging.CRITICAL)
        warnings.simplefilter("ignore")
    elif chosen.is_file():
        stored: Any = OmegaConf.load(chosen)
        handlers: Any = OmegaConf.to_container(stored.hydra.job_logging, resolve=True)
        logging.config.dictConfig(handlers)


def quieten() -> None:
    """Leave out what is no news of the run: advice of Lightning's, and a fault in it."""
    from lightning_fabric.utilities.warnings import disable_possible_user_warnings

    from eqflow.training.trainer import LIGHTNINGS_OWN

    logging.raiseExceptions = False  # a line that a full disk does not take is not worth a page
    disable_possible_user_warnings()  # more workers would not load tensors faster
    warnings.filterwarnings("ignore", LIGHTNINGS_OWN)
