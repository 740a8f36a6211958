"""What is said at the end of a run: what it has found, and where that lies."""

import logging
from collections.abc import Sequence
from pathlib import Path

from eqflow.evaluation import ComparedField
from eqflow.report.terminal import judged, summary, terminal_width

log, details = logging.getLogger("eqflow"), logging.getLogger("eqflow.summary")


def tell_findings(run: Sequence[ComparedField]) -> None:
    """Log the verdict on a run, its equations and a table of its fields, line by line."""
    width = terminal_width()
    details.info("")
    for line in judged(run, width).splitlines():
        log.info("%s", line)
    for line in ("", *summary(run, width).splitlines(), ""):
        details.info("%s", line)


def tell_trained(folder: Path, field: ComparedField | None) -> None:
    """Log what a run without evaluation trained; ``field`` is None if that is the score alone."""
    if field is None:
        log.info("score: in %s", folder / "checkpoints" / "score.ckpt")
        return
    if field.findings:
        tell_findings([field])
    log.info("field: in %s, for eqflow.load; not evaluated", folder / "flow")
    log.info("to evaluate it: run_dir=%s resume=true 'stages=[evaluate]'", folder)
