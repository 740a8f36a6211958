"""Signals that ask a program to end: Ctrl-C and SIGTERM."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

ENDING = (signal.SIGINT, signal.SIGTERM)
"""The signals: the first is what Ctrl-C sends."""


def end(number: int, *_: Any) -> NoReturn:
    """Handler: raise ``SystemExit`` with code ``128 + number``, so that open files are closed."""
    sys.exit(128 + number)


@contextmanager
def on_signals(
    handler: Callable[..., Any] | signal.Handlers, *numbers: signal.Signals
) -> Iterator[None]:
    """Context in which the signals ``numbers`` call ``handler``; those of ``ENDING`` if none."""
    before = {number: signal.signal(number, handler) for number in numbers or ENDING}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
