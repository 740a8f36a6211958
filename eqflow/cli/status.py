"""Status of a job, kept in its folder for its sweep and for whoever looks at it."""

import json
import signal
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
from eqflow.signals import on_signals

STATUS_FILE = "status.json"
"""File of a job's folder that holds its status."""


Value = float | list[float] | None
"""Tuned metric of a job, or several of them; None if none was measured."""


@dataclass
class Status:
    """Status of a job.

    Attributes:
        status: ``running``, ``finished``, ``failed``, ``interrupted`` (by Ctrl-C or SIGTERM) or
            ``pruned``; a job whose process was killed still says ``running``.
        error: Message of the exception that ended the job.
        started: Time at which the job was last started (UTC, ISO 8601).
        seconds: Duration since then.
        value: Tuned metric of a finished job.
    """

    status: str = "running"
    error: str = ""
    started: str = ""
    seconds: float = 0.0
    value: Value = None


@contextmanager
def recorded(folder: Path) -> Iterator[Status]:
    """Context that keeps the status of a job in ``folder``; exceptions of the block pass through.

    Of several machines only the first writes it.
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
        state.status, state.error = "failed", _message(error)
        raise
    except (SystemExit, KeyboardInterrupt):
        state.status = "interrupted"
        raise
    finally:
        state.seconds = time.time() - started
        # a full disk is reported by the block
        with suppress(OSError), on_signals(signal.SIG_IGN):
            write_json(folder / STATUS_FILE, asdict(state))


def read_status(folder: Path) -> Status:
    """Status stored in a job's folder; ``running`` if there is none, or it cannot be read."""
    try:
        return Status(**json.loads((folder / STATUS_FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return Status()


def _message(error: Exception) -> str:
    return sentence(error) or type(error).__name__
