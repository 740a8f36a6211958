"""How the command line ends: a sentence and code 2 for a mistake, a traceback and 1 for a bug."""

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
    """End the program on an exception: 2 for the user's mistake, 1 with a traceback for ours."""
    try:
        yield
    except Exception as error:
        if mistake := refused(error, _folder()) or _mistake(error):
            print(f"error: {mistake}", file=sys.stderr)
            sys.exit(2)
        traceback.print_exc()
        sys.exit(1)


def _mistake(error: Exception) -> str | None:
    if isinstance(error, InstantiationException):
        return None  # ours are constructors: what they refuse is an InputError
    mistakes = (InputError, HydraException, OmegaConfBaseException)
    return sentence(error) if isinstance(error, mistakes) else None


def _folder() -> Path | None:
    """That of a single run, once it is known."""
    single = HydraConfig.initialized() and HydraConfig.get().mode is RunMode.RUN
    return Path(HydraConfig.get().run.dir) if single else None


@contextmanager
def on_sigterm(handler: Callable[..., Any] | signal.Handlers) -> Iterator[None]:
    """Have SIGTERM answered by ``handler`` inside the block."""
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def stop(*_: Any) -> NoReturn:
    """Answer SIGTERM by ``SystemExit`` with code 143, so that what is open gets closed."""
    sys.exit(128 + signal.SIGTERM)


def sentence(error: Exception) -> str:
    """An error as one line; Hydra's and OmegaConf's come on several."""
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


DISK_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it writable",
}
"""What to do about an ``OSError``, by its number."""


def refused(error: BaseException, folder: Path | None) -> str | None:
    """One sentence if a disk refused to write, however deep in ``error``; None if none did.

    It names the file, or the run's ``folder`` where the system names none.
    """
    for link in _chain(error):
        if isinstance(link, OSError) and link.errno in DISK_REMEDIES:
            place = link.filename or folder or "the run's folder"
            return f"{place}: {link.strerror}; {DISK_REMEDIES[link.errno]}, then {_again(folder)}"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it was raised from or after: a logger's end may fail as well."""
    seen: set[int] = set()  # one that is raised anew on its way out is its own context's cause
    while error and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _again(folder: Path | None) -> str:
    if folder and (folder / RESOLVED_CONFIG).is_file():
        return f"run_dir={folder} resume=true"
    return "give the same command again"
