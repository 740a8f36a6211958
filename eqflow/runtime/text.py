"""Short tables of names and values, as objects print themselves."""

from collections.abc import Mapping


def aligned(rows: Mapping[str, str]) -> str:
    """A line for each name and its value, the values below each other.

    >>> print(aligned({"gap": "3.1", "dimension": "1"}))
    gap        3.1
    dimension  1
    """
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())
