"""How far a long computation is: in the log, a line every ten seconds, later fewer.

A computation says with :func:`doing` what it is part of, and with :func:`tell` how far it is. The
lines go to the log ``eqflow.progress``.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

log = logging.getLogger("eqflow.progress")

INTERVAL, LATER = 10.0, 0.1
"""Seconds between two lines on the progress of a computation, and the share of the time so far that
lies between them at least: hours of it fill a page, not a book."""

_doing: ContextVar[tuple[str, ...]] = ContextVar("doing", default=())


class Clock:
    """Says when the next line is due: ``first`` seconds from now, then after each ``INTERVAL``."""

    def __init__(self, first: float = INTERVAL) -> None:
        self.started = time.monotonic()
        self._next = self.started + first

    def strikes(self) -> bool:
        """Whether a line is due, which is then taken as told."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + max(INTERVAL, LATER * (now - self.started))
        return True

    def left(self, done: float, total: float) -> str:
        """``about 20 s left`` of ``total`` steps, at the pace of those ``done`` since the start."""
        remaining = (time.monotonic() - self.started) * (total - done) / done
        return f"about {duration(remaining)} left"


_clock = Clock()


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Context whose lines on progress begin with ``what``; outermost with seconds from now on."""
    global _clock
    if not _doing.get():
        _clock = Clock()
    token = _doing.set((*_doing.get(), what))
    try:
        yield
    finally:
        _doing.reset(token)


def tell(message: str, *values: object) -> None:
    """Log how far a computation is, and for how long it has been at it, unless a line came lately.

    ``message`` is completed by ``values`` as in logging. Nothing is logged outside :func:`doing`.
    """
    if _doing.get() and _clock.strikes():
        begun = duration(time.monotonic() - _clock.started)
        log.info("%s", ": ".join((*_doing.get(), f"{message % values} ({begun} so far)")))


def duration(seconds: float) -> str:
    """A time in words.

    >>> duration(0.31), duration(42.4), duration(200), duration(7300)
    ('0.3 s', '42 s', '3 min 20 s', '2 h 1 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1g} s" if seconds < 0.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
