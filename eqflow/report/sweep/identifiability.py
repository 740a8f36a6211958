"""The identifiability report of a sweep: a verdict, tables and a picture."""

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
from eqflow.report.style import STYLE, TRUTH, new_figure, number
from eqflow.runtime import replacing, write_json

DIVERSE, SEEDS = FAMILIES["network"].colour, FAMILIES["skew"].colour
"""Colours of fields of unequal factors, and of those that differ by seeds alone."""


RESTS = ("interactions", "seeds")
"""Shares of the spread that belong to no factor."""


def write_identifiability(folder: Path, identifiability: Identifiability) -> None:
    """Write ``identifiability.json``, ``.md`` and ``.png`` into ``folder``."""
    write_json(folder / "identifiability.json", numbers(identifiability))
    (folder / "identifiability.md").write_text(text(identifiability) + "\n", encoding="utf-8")
    with rc_context(STYLE), replacing(folder / "identifiability.png") as path:
        figure(identifiability).savefig(path, format="png")


def numbers(identifiability: Identifiability) -> dict[str, Any]:
    """What was measured, by name."""
    equal, unequal = identifiability.cosines()
    found = {
        "verdict": verdict(identifiability),
        "fields": len(identifiability.fields),
        "cells": len(identifiability.cell.unique()),
        "states": len(identifiability.states),
        "spread": {
            "diverse": identifiability.spread.total,
            "seeds": identifiability.spread.seeds,
            "unrelated": identifiability.unrelated,
        },
        "shares": identifiability.spread.shares,
        "cos": {
            name: cosines.mean().item()
            for name, cosines in (("equal_factors", equal), ("unequal_factors", unequal))
            if len(cosines)
        },
        "bands": {name: asdict(bands) for name, bands in identifiability.bands().items()},
    }
    if identifiability.truth is None:
        return found
    return found | {
        "truth_cos": (identifiability.fields @ identifiability.truth).abs().mean().item()
    }


def verdict(identifiability: Identifiability) -> str:
    """How far the snapshots decide, what else does, and whether the truth is among the fields."""
    shares = identifiability.spread.shares
    common, chance = (
        _percent(1 - part) for part in (identifiability.spread.total, identifiability.unrelated)
    )
    sentences = [
        f"{len(identifiability.fields)} fields that differ on purpose have {common} of their "
        f"square in common, as many unrelated ones {chance}: more the snapshots do not decide. "
        f"Seeds alone show {_percent(shares['seeds'])} of the spread."
    ]
    factors = {name: share for name, share in shares.items() if name not in RESTS}
    first = max(factors, key=factors.__getitem__, default=None)
    if first and factors[first] > 0:
        sentences.append(f"The factor that explains most is {first}, {_percent(factors[first])}.")
    sentences += [
        _covered(*named) for named in identifiability.bands().items() if named[1].truth is not None
    ]
    return " ".join(sentences)


def _percent(share: float) -> str:
    """Unbiased estimates of shares near the ends may lie beyond them."""
    return f"{min(max(round(100 * share), 0), 100)} %"


def _covered(name: str, bands: Bands) -> str:
    of_all, of_seeds = (
        "inside" if bands.cover(band) else "outside" for band in (bands.diverse, bands.seeds)
    )
    return f"The true {name} is {of_all} the band of all fields and {of_seeds} that of seeds."


def text(identifiability: Identifiability) -> str:
    """The verdict, then the shares and the bands as Markdown tables."""
    lines = [verdict(identifiability), "", "| factor | share of the spread |", "| --- | --- |"]
    lines += [
        f"| {name} | {number(share, 2)} |" for name, share in identifiability.spread.shares.items()
    ]
    if bands := identifiability.bands():
        lines += ["", "| 90 % of | all fields | fields of one cell | truth |"]
        lines += ["| --- | --- | --- | --- |"]
    for name, found in bands.items():
        cells = [*map(_interval, (found.diverse, found.seeds)), number(found.truth)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _interval(band: tuple[float, float]) -> str:
    return " to ".join(number(end) for end in band)


def figure(identifiability: Identifiability) -> Figure:
    """Shares, cosines and bands above, the states and their spread below."""
    drawn = new_figure(11.0, 6.4)
    parts: Any = drawn.subfigures(2, 1, height_ratios=(1, 1.25))
    above, below = parts
    shares, cosines, bands = above.subplots(1, 3, width_ratios=(1.1, 1, 1.2))
    _shares(shares, identifiability.spread.shares)
    _cosines(cosines, identifiability)
    _bands(bands, identifiability.bands())
    places = below.subplots(1, 2, sharex=True, sharey=True)
    most = identifiability.diverse_points.quantile(0.99).item()
    kinds = {
        "all fields": identifiability.diverse_points,
        "fields of equal factors": identifiability.seed_points,
    }
    for axes, (name, spread) in zip(places, kinds.items(), strict=True):
        dots = _states(axes, identifiability.states, spread, most)
        axes.set_title(f"spread of {name}")
    below.colorbar(dots, ax=places, label="spread at a state", extend="max")
    return drawn


def _shares(axes: Axes, shares: dict[str, float]) -> None:
    names, values = [*shares][::-1], [100 * share for share in shares.values()][::-1]
    axes.barh(names, values, color=[SEEDS if name == "seeds" else DIVERSE for name in names])
    for row, value in enumerate(values):
        axes.text(max(value, 0) + 2, row, number(value, 2), va="center", fontsize=8)
    axes.axvline(0, color=TRUTH, linewidth=0.8)
    axes.set(title="what explains the spread", xlabel="share, %")
    axes.set_xlim(min(-1, *values), 1.15 * max(values))
    axes.grid(visible=False, axis="y")


def _cosines(axes: Axes, identifiability: Identifiability) -> None:
    for values, colour in zip(identifiability.cosines(), (SEEDS, DIVERSE), strict=True):
        shown = values.clamp_max(1).cpu().numpy()
        axes.hist(shown, bins=25, range=(0, 1), density=True, alpha=0.6, color=colour)
    axes.legend(["equal factors, other seeds", "unequal factors"], fontsize=8)
    axes.set(title="two fields", xlabel="|cos|", ylabel="density")


def _bands(axes: Axes, bands: dict[str, Bands]) -> None:
    """An interval for each functional and kind of ensemble, and the truth across both."""
    axes.set(title="90 % bands, sampling error in them", xlabel="value at unit speed")
    rows = torch.arange(len(bands)).flip(0).tolist()
    names = {DIVERSE: "all fields", SEEDS: "equal factors", TRUTH: "true system"}
    for row, found in zip(rows, bands.values(), strict=True):
        for shift, band, colour in ((0.15, found.diverse, DIVERSE), (-0.15, found.seeds, SEEDS)):
            place, label = [row + shift] * 2, names.pop(colour, None)
            axes.plot(band, place, color=colour, linewidth=7, solid_capstyle="butt", label=label)
        if found.truth is not None:
            place, label = [row - 0.35, row + 0.35], names.pop(TRUTH, None)
            axes.plot([found.truth] * 2, place, color=TRUTH, linewidth=2, label=label)
    axes.legend(fontsize=7.5, loc="upper center", ncols=3, handlelength=0.8, columnspacing=1)
    axes.set_yticks(rows, [name.replace(" ", "\n", 1) for name in bands])
    axes.set_ylim(-0.6, len(bands) - 0.1)
    axes.grid(visible=False, axis="y")


def _states(axes: Axes, states: Tensor, spread: Tensor, most: float) -> Any:
    """States at their first and last coordinate, the widest spread on top."""
    order = spread.argsort()
    x, y = (states.flatten(1)[order, k].cpu().numpy() for k in (0, -1))
    axes.set(xlabel="first coordinate", ylabel="last coordinate")
    axes.grid(visible=False)
    return axes.scatter(x, y, 9, spread[order].cpu().numpy(), vmin=0, vmax=most, cmap="viridis")
