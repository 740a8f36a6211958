"""Figure of the similarity of fields of several kinds: a table, a histogram and a map."""

from collections.abc import Mapping

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eqflow.evaluation import Kinds, embedding
from eqflow.fields import FAMILIES
from eqflow.report.style import TRUTH, new_figure

SHADES = "Blues"
"""Colour map of the table."""


def pairs(fields: Kinds, numbers: Mapping[str, float]) -> Figure:
    """Similarity ``|cos|`` of pairs of fields.

    Left: its mean for pairs of kinds, ``pairs/<kind>/<kind>`` of ``numbers``. Middle: histograms
    of the similarity to fields of the first kind. Right: fields in a plane, similar ones close.
    """
    figure = new_figure(11.0, 3.6)
    table, histogram, plane = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
    _table(table, list(fields), numbers)
    _histogram(histogram, fields)
    _plane(plane, fields)
    return figure


def _named(kind: str) -> str:
    given = {"truth": "true system", "skew": "random skew maps"}
    return given.get(kind) or FAMILIES[kind].label


def _table(axes: Axes, names: list[str], numbers: Mapping[str, float]) -> None:
    rows = [a for a in names if any(f"pairs/{a}/{b}" in numbers for b in names)]
    values = torch.full((len(rows), len(names)), torch.nan)
    for i, a in enumerate(rows):
        for j, b in enumerate(names[i:], start=i):
            key = f"pairs/{a}/{b}"
            if key in numbers:
                values[i, j] = numbers[key]
                text = f"{numbers[key]:.2f}\n± {numbers[f'{key}_std']:.2f}"
                white = "white" if numbers[key] > 0.6 else "black"
                axes.text(j, i, text, ha="center", va="center", color=white, fontsize=7.5)
    axes.imshow(values.numpy(), cmap=SHADES, vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), [_named(n) for n in names], rotation=35, ha="right")
    axes.set_yticks(range(len(rows)), [_named(n) for n in rows])
    axes.set_title("mean |cos| of pairs")
    axes.grid(visible=False)


def _histogram(axes: Axes, fields: Kinds) -> None:
    first = next(iter(fields))
    for kind, velocities in fields.items():
        cosines = (fields[first] @ velocities.T).abs()
        if kind == first:
            cosines = cosines[torch.ones_like(cosines).triu(1).bool()]
        shown = cosines.flatten().clamp_max(1).cpu().numpy()
        axes.hist(shown, bins=25, range=(0, 1), density=True, alpha=0.5, color=_colour(kind))
    axes.set(xlabel=f"|cos| to the {_named(first)}", ylabel="density", yscale="log")


def _plane(axes: Axes, fields: Kinds) -> None:
    rows = torch.cat([*fields.values()])
    places, method = embedding(rows @ rows.T)
    kinds = zip(fields, places.split([len(v) for v in fields.values()]), strict=True)
    for kind, place in kinds:
        x, y = place.T.cpu().numpy()
        size = 60 if len(place) == 1 else 14
        marker = "*" if kind == "truth" else FAMILIES[kind].marker
        axes.scatter(x, y, size, marker=marker, color=_colour(kind), alpha=0.8, label=_named(kind))
    axes.set(title=f"alike fields lie close ({method})", xticks=[], yticks=[])
    axes.set_aspect("equal", "datalim")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)


def _colour(kind: str) -> str:
    return TRUTH if kind == "truth" else FAMILIES[kind].colour
