"""How figures look and how numbers are written, the same in every figure and table."""

from collections.abc import Sequence
from math import floor, log10
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

TRUTH, DATA = "#222222", "#9AA1AA"
"""Colours of the true system and of the snapshots; families have colours of their own."""


SIGMA = "\N{GREEK SMALL LETTER SIGMA}"
"""How the noise level is written."""


BAND = "#DDEFE4"
"""Colour of what sampling noise alone reaches."""


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
"""Settings of matplotlib under which figures are made and saved."""


def sheet(width: float, height: float) -> Figure:
    """An empty figure that belongs to no global state; inches."""
    return Figure(figsize=(width, height), layout="constrained")


def logarithmic(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic vertical scale with plain numbers at ticks that ``values`` > 0 are between."""
    axes.set_yscale("log")
    wide = max(values) > 10 * min(values)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if wide else MaxNLocator(5))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()


ROUNDING = 1e-12
"""Nearer to 1 a number is 1: what it lacks is rounding."""


def number(value: float | int | None, digits: int = 3) -> str:
    """A measure with three significant digits, nines before 1 not counted; a dash for none."""
    if value is None:
        return "\N{EN DASH}"
    if 0 < 1 - abs(value) < ROUNDING:
        value = round(value)
    if 0.99 < abs(value) < 1:
        digits = max(digits, 1 - floor(log10(1 - abs(value))))
    rounded = float(f"{value:.{digits}g}")
    text = f"{rounded:,.0f}" if 1000 <= abs(rounded) < 1e6 else f"{value:.{digits}g}"
    return text.replace("-", "\N{MINUS SIGN}")  # a hyphen would let a table break the line


def chance(p: float | int) -> str:
    """A p-value; how far below one in ten thousand it is says nothing."""
    return "<0.0001" if p < 1e-4 else number(p)


def percent(fraction: float | int | None) -> str:
    """A fraction in percent; a dash where it was not taken."""
    return number(None if fraction is None else 100 * fraction) + " %"
