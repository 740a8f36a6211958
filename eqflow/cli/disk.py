"""A disk that is full or may not be written to: the user's to mend, not a bug."""

import errno
from collections.abc import Iterator
from pathlib import Path

from eqflow.cli.resume import RESOLVED

MENDED_BY = {
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
        if isinstance(link, OSError) and link.errno in MENDED_BY:
            place = link.filename or folder or "the run's folder"
            return f"{place}: {link.strerror}; {MENDED_BY[link.errno]}, then {_again(folder)}"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it was raised from or after: a logger's end may fail as well."""
    seen: set[int] = set()  # one that is raised anew on its way out is its own context's cause
    while error and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _again(folder: Path | None) -> str:
    if folder and (folder / RESOLVED).is_file():
        return f"run_dir={folder} resume=true"
    return "give the same command again"
