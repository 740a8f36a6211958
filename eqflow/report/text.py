"""Numbers and symbols as tables, figures and sentences write them. Nothing here draws."""

from math import floor, log10

SIGMA = "\N{GREEK SMALL LETTER SIGMA}"
"""Symbol of the noise level."""

ROUNDING_ERROR = 1e-12
"""Distance from 1 below which a number is written as 1, as rounding alone makes it."""


def number(value: float | int | None, digits: int = 3) -> str:
    """A number with ``digits`` significant digits; a dash for ``None``.

    Just below 1 leading nines do not count as significant, and signs are true minus signs.

    Example:
        >>> number(0.123456), number(0.999873), number(1304.8)
        ('0.123', '0.99987', '1,300')
    """
    if value is None:
        return "\N{EN DASH}"
    if 0 < 1 - abs(value) < ROUNDING_ERROR:
        value = round(value)
    if 0.99 < abs(value) < 1:
        digits = max(digits, 1 - floor(log10(1 - abs(value))))
    rounded = float(f"{value:.{digits}g}")
    text = f"{rounded:,.0f}" if 1000 <= abs(rounded) < 1e6 else f"{value:.{digits}g}"
    return text.replace("-", "\N{MINUS SIGN}")  # a hyphen would let a table break the line


def as_label(name: str) -> str:
    """A name as a label in a figure, where dollar signs would begin a formula."""
    return name.replace("$", r"\$")


def chance(p: float | int) -> str:
    """A p-value, written as ``<0.0001`` where it is smaller than that."""
    return "<0.0001" if p < 1e-4 else number(p)


def percent(fraction: float | int | None) -> str:
    """A fraction in percent, with a dash for ``None``."""
    return number(None if fraction is None else 100 * fraction) + " %"
