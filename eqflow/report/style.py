"""One name and one colour for a field in every picture and table, one way to write a number."""

from typing import Any

from matplotlib.figure import Figure

NAMES = {
    "network": "network",
    "skew": "skew (no training)",
    "random": "random network",
    "random_skew": "random skew maps",
    "random_linear": "random linear map",
    "score": "score",
    "minus_x": "\N{MINUS SIGN}x",
}
"""What a reader calls a family; one that is not listed keeps its own name."""

COLOURS = {
    "network": "#0072B2",
    "skew": "#D55E00",
    "stream": "#009E73",
    "library": "#CC79A7",
    "random": "#E69F00",
    "random_skew": "#8C510A",
    "random_linear": "#56B4E9",
    "score": "#7F7F7F",
    "minus_x": "#A69B00",
}
"""Family -> colour, after the palette of Okabe and Ito, which the colour-blind tell apart."""

MARKERS = dict(zip(COLOURS, "osD^v<>Xp", strict=True))
"""Family -> marker: a second way to tell the lines apart."""

TRUTH, DATA, OTHER = "#222222", "#9AA1AA", "#444444"
"""Colours of the true system, of the snapshots and of a family that is not listed."""

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


def number(value: float | int | None) -> str:
    """A measure with three significant digits; a dash where it was not taken."""
    if value is None:
        return "\N{EN DASH}"
    rounded = float(f"{value:.3g}")
    text = f"{rounded:,.0f}" if 1000 <= abs(rounded) < 1e6 else f"{value:.3g}"
    return text.replace("-", "\N{MINUS SIGN}")  # a hyphen would let a table break the line


def percent(fraction: float | int | None) -> str:
    """A fraction in percent; a dash where it was not taken."""
    return number(None if fraction is None else 100 * fraction) + " %"
