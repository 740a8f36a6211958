"""Style of figures, shared by all of them."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

TRUTH, DATA = "#222222", "#9AA1AA"
"""Colours of the true system and of the snapshots. Those of fields are in ``eqflow.fields``."""

BAND = "#DDEFE4"
"""Colour of the range of sampling noise."""

WIDTH = 5.8
"""Inches of a figure as wide as a page: its letters can be read on a phone."""

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E8EB",
    "legend.frameon": False,
    "savefig.dpi": 160,
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
