"""The identifiability report of a sweep: a verdict, tables and a figure."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from eqflow.evaluation import Bands, Identifiability
from eqflow.fields import FAMILIES
from eqflow.report.style import STYLE, TRUTH, new_figure
from eqflow.report.text import number
from eqflow.runtime import replacing, write_json

ALL_COLOUR, WITHIN_COLOUR = FAMILIES["network"].colour, FAMILIES["skew"].colour
"""Colours of all fields, and of fields of a cell, which differ by their seeds alone."""


def write_identifiability(folder: Path, identifiability: Identifiability) -> None:
    """Write ``identifiability.json``, ``.md`` and ``.png`` into ``folder``."""
    write_json(folder / "identifiability.json", numbers(identifiability))
    (folder / "identifiability.md").write_text(text(identifiability) + "\n", encoding="utf-8")
    with rc_context(STYLE), replacing(folder / "identifiability.png") as path:
        figure(identifiability).savefig(path, format="png")


def numbers(identifiability: Identifiability) -> dict[str, Any]:
    """The content of ``identifiability.json``."""
    spread, truth = identifiability.spread, identifiability.truth
    names = ("equal_factors", "unequal_factors")
    cosines = dict(zip(names, identifiability.cosines(), strict=True))
    content = {
        "verdict": verdict(identifiability),
        "fields": len(identifiability.fields),
        "cells": len(identifiability.cell.unique()),
        "states": len(identifiability.states),
        "spread": {
            "diverse": spread.total,
            "seeds": spread.seeds,
            "unrelated": identifiability.chance,
        },
        "shares": spread.shares,
        "cos": {name: values.mean().item() for name, values in cosines.items() if len(values)},
        "bands": {name: asdict(bands) for name, bands in identifiability.bands().items()},
    }
    if truth is not None:
        content["truth_cos"] = (identifiability.fields @ truth).abs().mean().item()
    return content


def verdict(identifiability: Identifiability) -> str:
    """How far snapshots decide the dynamics, which factors do, and whether bands hold the truth."""
    spread, chance = identifiability.spread, identifiability.chance
    sentences = [
        f"{len(identifiability.fields)} fields that differ on purpose have "
        f"{_percent(1 - spread.total)} of their square in common, as many unrelated fields "
        f"{_percent(1 - chance)}: the snapshots decide no more. "
        f"Seeds alone make up {_percent(spread.shares['seeds'])} of the spread."
    ]
    factors = {n: s for n, s in spread.shares.items() if n not in ("interactions", "seeds")}
    first = max(factors, key=factors.__getitem__, default=None)
    if first and factors[first] > 0:
        sentences.append(f"The factor that explains most is {first}, {_percent(factors[first])}.")
    for name, bands in identifiability.bands().items():
        if bands.truth is not None:
            ends = ("inside" if bands.cover(band) else "outside" for band in _both(bands))
            sentences.append(
                "The true {} is {} the band of all fields and {} that of seeds.".format(name, *ends)
            )
    return " ".join(sentences)


def _percent(share: float) -> str:
    """A share in percent; unbiased estimates of shares near the ends may lie beyond them."""
    return f"{min(max(round(100 * share), 0), 100)} %"


def _both(bands: Bands) -> tuple[tuple[float, float], tuple[float, float]]:
    return bands.diverse, bands.seeds


def text(identifiability: Identifiability) -> str:
    """The verdict, then shares and bands as Markdown tables."""
    lines = [verdict(identifiability), "", "| factor | share of the spread |", "| --- | --- |"]
    lines += [
        f"| {name} | {number(share, 2)} |" for name, share in identifiability.spread.shares.items()
    ]
    if functionals := identifiability.bands():
        lines += ["", "| 90 % of | all fields | fields of one cell | truth |"]
        lines += ["| --- | --- | --- | --- |"]
    for name, bands in functionals.items():
        cells = [" to ".join(map(number, band)) for band in _both(bands)]
        lines.append(f"| {' | '.join([name, *cells, number(bands.truth)])} |")
    return "\n".join(lines)


def figure(identifiability: Identifiability) -> Figure:
    """Shares, cosines and bands above, the states and their spread below."""
    drawn = new_figure(11.0, 6.4)
    parts: Any = drawn.subfigures(2, 1, height_ratios=(1, 1.25))
    above, below = parts
    shares, cosines, bands = above.subplots(1, 3, width_ratios=(1.1, 1, 1.2))
    _shares(shares, identifiability.spread.shares)
    _cosines(cosines, identifiability)
    _bands(bands, identifiability.bands())
    left, right = below.subplots(1, 2, sharex=True, sharey=True)
    total, within = identifiability.total_at_states, identifiability.within_at_states
    most = total.quantile(0.99).item()
    _states(left, identifiability.states, total, most)
    dots = _states(right, identifiability.states, within, most)
    left.set_title("spread of all fields")
    right.set_title("spread of fields of equal factors")
    below.colorbar(dots, ax=[left, right], label="spread at a state", extend="max")
    return drawn


def _shares(axes: Axes, shares: dict[str, float]) -> None:
    names, values = [*shares][::-1], [100 * share for share in shares.values()][::-1]
    axes.barh(
        names, values, color=[WITHIN_COLOUR if name == "seeds" else ALL_COLOUR for name in names]
    )
    for row, value in enumerate(values):
        axes.text(max(value, 0) + 2, row, number(value, 2), va="center", fontsize=8)
    axes.axvline(0, color=TRUTH, linewidth=0.8)
    axes.set(title="what explains the spread", xlabel="share, %")
    axes.set_xlim(min(-1, *values), 1.15 * max(values))
    axes.grid(visible=False, axis="y")


def _cosines(axes: Axes, identifiability: Identifiability) -> None:
    for values, colour in zip(identifiability.cosines(), (WITHIN_COLOUR, ALL_COLOUR), strict=True):
        shown = values.clamp_max(1).cpu().numpy()
        axes.hist(shown, bins=25, range=(0, 1), density=True, alpha=0.6, color=colour)
    axes.legend(["equal factors, other seeds", "unequal factors"], fontsize=8)
    axes.set(title="two fields", xlabel="|cos|", ylabel="density")


def _bands(axes: Axes, bands: dict[str, Bands]) -> None:
    """The bands of each functional over all fields and within cells, and the truth across both."""
    axes.set(title="90 % bands, sampling error in them", xlabel="value at unit speed")
    rows = torch.arange(len(bands)).flip(0).tolist()
    labels = {ALL_COLOUR: "all fields", WITHIN_COLOUR: "equal factors", TRUTH: "true system"}
    for row, pair in zip(rows, bands.values(), strict=True):
        places = zip((0.15, -0.15), _both(pair), (ALL_COLOUR, WITHIN_COLOUR), strict=True)
        for shift, band, colour in places:
            style: Any = {"color": colour, "linewidth": 7, "solid_capstyle": "butt"}
            axes.plot(band, [row + shift] * 2, label=labels.pop(colour, None), **style)
        if pair.truth is not None:
            ends, style = [row - 0.35, row + 0.35], {"color": TRUTH, "linewidth": 2}
            axes.plot([pair.truth] * 2, ends, label=labels.pop(TRUTH, None), **style)
    axes.legend(fontsize=7.5, loc="upper center", ncols=3, handlelength=0.8, columnspacing=1)
    axes.set_yticks(rows, [name.replace(" ", "\n", 1) for name in bands])
    axes.set_ylim(-0.6, len(bands) - 0.1)
    axes.grid(visible=False, axis="y")


def _states(axes: Axes, states: Tensor, spread: Tensor, most: float) -> Any:
    """States by their first and last coordinate, those of the widest spread on top."""
    order = spread.argsort()
    x, y = (states.flatten(1)[order, k].cpu().numpy() for k in (0, -1))
    axes.set(xlabel="first coordinate", ylabel="last coordinate")
    axes.grid(visible=False)
    return axes.scatter(x, y, 9, spread[order].cpu().numpy(), vmin=0, vmax=most, cmap="viridis")
