"""How a job stands, kept in its folder for whoever looks at it from outside."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from eqflow.cli.exits import sentence
from eqflow.cli.processes.nodes import node_rank
from eqflow.errors import Pruned
from eqflow.runtime import write_json

STATUS_FILE = "status.json"


Value = float | list[float] | None
"""The tuned metric of a job, or several; None where it was not measured."""


@dataclass
class Status:
    """``status`` is running, finished, failed or pruned; ``error`` the sentence of what failed.

    A job whose process was killed still says running. ``value`` is the tuned metric of a finished
    one, ``seconds`` what it took since it was last started.
    """

    status: str = "running"
    error: str = ""
    started: str = ""
    seconds: float = 0.0
    value: Value = None


@contextmanager
def recorded(folder: Path) -> Iterator[Status]:
    """Keep ``folder``'s status while the block runs; what it raises goes on.

    Of several machines the first keeps it.
    """
    state, started = Status(started=datetime.now(UTC).isoformat(timespec="seconds")), time.time()
    if node_rank():
        yield state
        return
    write_json(folder / STATUS_FILE, asdict(state))
    try:
        yield state
        state.status = "finished"
    except Pruned as stop:
        state.status, state.error = "pruned", str(stop)
        raise
    except Exception as error:
        state.status, state.error = "failed", _last(error)
        raise
    finally:
        state.seconds = time.time() - started
        with suppress(OSError):  # a full disk has been reported already
            write_json(folder / STATUS_FILE, asdict(state))


def read_status(folder: Path) -> Status:
    """The status of a job's folder; running where there is none or half of one."""
    try:
        return Status(**json.loads((folder / STATUS_FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return Status()


def _last(error: Exception) -> str:
    text = sentence(error)
    return text if text else type(error).__name__
