"""Numbers and symbols as tables, figures and sentences write them. Nothing here draws."""

import unicodedata
from collections.abc import Sequence
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


def in_ascii(text: str) -> str:
    """Text for an output that shows nothing but ASCII.

    >>> in_ascii("MMD² ± 0.1, σ ≥ 2 für é")
    'MMD^2 +- 0.1, sigma >= 2 fur e'
    """
    decomposed = unicodedata.normalize("NFKD", text.translate(IN_ASCII))
    known = (c for c in decomposed if not unicodedata.combining(c))
    return "".join(known).encode("ascii", "replace").decode()


IN_ASCII = {
    **{ord(c): f"^{n}" for n, c in zip("123", "¹²³", strict=True)},
    **{0x2080 + n: f"_{n}" for n in range(10)},
    **{ord(c): "-" for c in "\N{MINUS SIGN}\N{EN DASH}\N{EM DASH}"},
    **{ord(c): name for c, name in {SIGMA: "sigma", "η": "eta", "λ": "lambda"}.items()},
    **{ord(c): sign for c, sign in {"±": "+-", "≥": ">=", "≤": "<=", "→": "->"}.items()},
}
"""Characters of reports -> how they are written in ASCII; letters lose their accents."""


def as_label(name: str) -> str:
    """A name as a label in a figure, where dollar signs would begin a formula."""
    return name.replace("$", r"\$")


def coordinates(dim: int, names: Sequence[str] | None = None) -> list[str]:
    """Labels of the coordinates that figures of state space show, at most three of ``dim``."""
    standard = list("xyz"[:dim]) if dim <= 3 else ["x₁", "x₂", "x₃"]
    return [as_label(name) for name in names or standard][:3]


def chance(p: float | int) -> str:
    """A p-value, written as ``<0.0001`` where it is smaller than that."""
    return "<0.0001" if p < 1e-4 else number(p)


def transit_times(time: float) -> str:
    """A time in words, as ``1 transit time`` or ``10 transit times``."""
    return f"{time:g} transit time{'' if time == 1 else 's'}"


def percent(fraction: float | int | None) -> str:
    """A fraction in percent, with a dash for ``None``."""
    return number(None if fraction is None else 100 * fraction) + " %"
