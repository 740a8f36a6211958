"""Exit codes of the command line, and the sentences that it ends with.

A mistake of the user, or a disk that refuses to be written, ends the program with one sentence and
code 2; a bug with a traceback and code 1; Ctrl-C and SIGTERM, after open files are closed, with the
line that resumes and code 130 or 143.
"""

import atexit
import errno
import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from eqflow.cli.resume import RESOLVED_CONFIG, SWEEP_CONFIG
from eqflow.cli.types import TYPED_GROUPS
from eqflow.errors import InputError
from eqflow.options import unknown
from eqflow.signals import ENDING, end, on_signals

EVALUATION_THREADS = "evaluation"
"""What the names of threads begin with that measure fields: nothing ends them but the process."""


@contextmanager
def exit_codes() -> Iterator[None]:
    """Context that ends the program on an exception, with code 2 for a mistake and 1 for a bug."""
    try:
        yield
    except Exception as error:
        if mistake := disk_refusal(error, _folder()) or _mistake(error):
            print(f"error: {mistake}", file=sys.stderr)
            sys.exit(2)
        traceback.print_exc()
        sys.exit(1)


def _mistake(error: Exception) -> str | None:
    if isinstance(error, InstantiationException):
        return None  # a constructor failed otherwise than by an InputError: a bug
    mistakes = (InputError, HydraException, OmegaConfBaseException)
    return sentence(_misnamed(error) or error) if isinstance(error, mistakes) else None


def _misnamed(error: Exception) -> InputError | None:
    """Refusal of an option that eqflow's own groups lack; others take more than ``conf`` names."""
    cause = error.__cause__
    if not isinstance(error, ConfigCompositionException):
        return None
    if not isinstance(cause, ConfigAttributeError | ConfigKeyError):
        return None
    group, *deeper = str(cause.full_key).split(".")
    if not isinstance(cause.parent_node, DictConfig) or (deeper and group not in TYPED_GROUPS):
        return None
    return unknown("", cause.key, map(str, cause.parent_node), f"{cause.full_key}")


def _folder() -> Path | None:
    """Folder of a single run, once Hydra knows it; None for a sweep."""
    single = HydraConfig.initialized() and HydraConfig.get().mode is RunMode.RUN
    return Path(HydraConfig.get().run.dir) if single else None


@contextmanager
def interruptible() -> Iterator[None]:
    """Context that Ctrl-C and SIGTERM end, with a line that says how to go on."""
    try:
        with on_signals(end):
            yield
    except (SystemExit, KeyboardInterrupt) as stop:
        code = 128 + signal.SIGINT if isinstance(stop, KeyboardInterrupt) else stop.code
        if code not in [128 + number for number in ENDING]:
            raise
        print(f"interrupted; to go on: {_again(_folder())}", file=sys.stderr, flush=True)
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # it is ending already
        if any(thread.name.startswith(EVALUATION_THREADS) for thread in threading.enumerate()):
            os._exit(code)
        sys.exit(code)


def sentence(error: Exception) -> str:
    """Message of an error on one line, without the additions of Hydra and OmegaConf."""
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines if line and not line.startswith(_HYDRA_DECORATION))


_HYDRA_DECORATION = (
    "Config search path",
    "See https://",
    "Set the environment variable",
    "full_key:",
    "object_type=",
    "provider=",
)
"""Beginnings of lines that Hydra and OmegaConf add to their messages."""


DISK_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it writable",
}
"""What the user can do about an ``OSError`` of writing, by its number."""


def disk_refusal(error: BaseException, folder: Path | None) -> str | None:
    """Sentence on the file that could not be written, if that caused ``error``; else None.

    It names the run's ``folder`` where the system names no file.
    """
    for link in _chain(error):
        if isinstance(link, OSError) and link.errno in DISK_REMEDIES:
            place = link.filename or folder or "the run's folder"
            return f"{place}: {link.strerror}; {DISK_REMEDIES[link.errno]}, then {_again(folder)}"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and all that it was raised from or during."""
    seen: set[int] = set()  # an exception that is raised again can be its own context
    while error and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _again(folder: Path | None) -> str:
    """Options that continue the run in ``folder``, or the sweep that Hydra runs."""
    if folder and (folder / RESOLVED_CONFIG).is_file():
        return shlex.join([f"run_dir={folder}", "resume=true"])
    if HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN:
        sweep = HydraConfig.get().sweep.dir
        if (Path(sweep) / SWEEP_CONFIG).is_file():
            return shlex.join([f"sweep_dir={sweep}", "resume=true"])
    return "give the same command again"
