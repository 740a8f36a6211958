"""Exit codes of the command line, and the sentences that it ends with.

A mistake of the user, or a disk that refuses to be written, ends the program with one sentence and
code 2; a bug with a traceback and code 1; SIGTERM, after open files are closed, with code 143.
"""

import errno
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from eqflow.cli.resume import RESOLVED_CONFIG
from eqflow.errors import InputError


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
    return sentence(error) if isinstance(error, mistakes) else None


def _folder() -> Path | None:
    """Folder of a single run, once Hydra knows it; None for a sweep."""
    single = HydraConfig.initialized() and HydraConfig.get().mode is RunMode.RUN
    return Path(HydraConfig.get().run.dir) if single else None


@contextmanager
def on_sigterm(handler: Callable[..., Any] | signal.Handlers) -> Iterator[None]:
    """Context in which SIGTERM calls ``handler``."""
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def stop(*_: Any) -> NoReturn:
    """Handler of SIGTERM: raise ``SystemExit`` with code 143, so that open files are closed."""
    sys.exit(128 + signal.SIGTERM)


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
    if folder and (folder / RESOLVED_CONFIG).is_file():
        return f"run_dir={folder} resume=true"
    return "give the same command again"
