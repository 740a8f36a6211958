"""Values as text: in a line of a message, and in the short table that an object prints."""

from collections.abc import Mapping
from typing import Any


def aligned(rows: Mapping[str, str]) -> str:
    """A line for each name and its value, the values below each other.

    >>> print(aligned({"gap": "3.1", "dimension": "1"}))
    gap        3.1
    dimension  1
    """
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


def shortened(value: Any, length: int = 60) -> str:
    """A value as one line of a message."""
    line = " ".join(str(value).split())
    return line if len(line) <= length else f"{line[: length - 3]}..."
