"""A job of a sweep in plain values: what it was asked for and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

STATUSES = ("finished", "failed", "pruned", "unfinished")
"""How a job can have ended; unfinished ones still run, or were cut off."""


@dataclass(frozen=True)
class Job:
    """One job; ``name`` is that of its folder inside the sweep's.

    ``overrides`` are option -> value as they were written, ``metrics`` those of ``metrics.json``,
    ``error`` is the last line of what it failed with and ``opens`` the file in its folder that a
    reader should open: its report, or else its log. What is not there is empty.
    """

    name: str
    overrides: Mapping[str, str] = field(default_factory=dict)
    status: str = "unfinished"
    error: str = ""
    seconds: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    opens: str = ""
