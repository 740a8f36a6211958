"""Style of figures and format of numbers, shared by all figures, tables and sentences."""

from collections.abc import Sequence
from math import floor, log10
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

TRUTH, DATA = "#222222", "#9AA1AA"
"""Colours of the true system and of the snapshots. Those of fields are in ``eqflow.fields``."""

SIGMA = "\N{GREEK SMALL LETTER SIGMA}"
"""Symbol of the noise level."""

BAND = "#DDEFE4"
"""Colour of the range of sampling noise."""

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E8EB",
    "legend.frameon": False,
    "savefig.dpi": 140,
    "savefig.bbox": "tight",
}
"""Matplotlib settings (``rcParams``) under which figures are drawn and saved."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` by ``height`` inches, outside of pyplot's global state."""
    return Figure(figsize=(width, height), layout="constrained")


def logarithmic(axes: Axes, values: Sequence[float]) -> None:
    """Set a logarithmic vertical scale for ``values`` > 0, with plain numbers at its ticks."""
    axes.set_yscale("log")
    wide = max(values) > 10 * min(values)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if wide else MaxNLocator(5))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()


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


def chance(p: float | int) -> str:
    """A p-value, written as ``<0.0001`` where it is smaller than that."""
    return "<0.0001" if p < 1e-4 else number(p)


def percent(fraction: float | int | None) -> str:
    """A fraction in percent, with a dash for ``None``."""
    return number(None if fraction is None else 100 * fraction) + " %"
