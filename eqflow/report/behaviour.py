"""Figures of the objects in images: frames, tracks, pair correlation and displacements."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from eqflow.evaluation import ComparedField, at_rest
from eqflow.icons import Scene
from eqflow.metrics.behaviour import Motion, Watched, pair_correlation
from eqflow.report import trails
from eqflow.report.display import Display
from eqflow.report.frames import ImageSequence, frame_rows
from eqflow.report.observed import REST_NAME
from eqflow.report.style import TRUTH, WIDTH, new_figure
from eqflow.report.textures import textures
from eqflow.report.trails import ways

STILLS = 5
"""Frames of each film in a row."""

BINS_PER_RADIUS = 2
"""Bins of the pair correlation in the radius of an icon."""

WRITTEN: Mapping[str, Any] = {"color": "#5B636D", "fontsize": 8}
"""How words are set in a drawing."""

BLANK: Mapping[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 1}
"""Ground of words that lie on lines."""

MANY = 200
"""Ratio of the ends of a logarithmic axis from which only powers of ten have ticks."""

GUIDE: Mapping[str, Any] = {"color": "#B8BEC6", "linewidth": 1.0, "zorder": 0}
"""How what is only there to compare with is drawn."""

REST_LOOK: Mapping[str, Any] = {"color": TRUTH, "linestyle": ":"}
"""How restoring noise alone is drawn."""


class Observed(NamedTuple):
    """What was watched of a field, its name and the line that it is drawn with."""

    name: str
    watched: Watched
    line: Mapping[str, Any]


def watched(run: Sequence[ComparedField]) -> bool:
    """Whether the objects of the run's own field were watched."""
    return run[0].field in run[0].reference.watched


def film(run: Sequence[ComparedField], display: Display, path: Path) -> Path:
    """The film of the run's own field, with and without trails, and of restoring noise alone."""
    return trails.film(run[0], _rest(run, display), path)


def figures(run: Sequence[ComparedField], display: Display) -> dict[str, Figure]:
    """Figures of all fields whose objects were watched, and of restoring noise alone."""
    own, seen = run[0], _observed(run, display)
    horizon = own.reference.protocol.headline
    background = cast(Scene, display.snapshots.scene).background.numpy()
    return {
        "tracks": tracks(seen[:2], background),
        "displacements": displacements(seen),
        "pair_correlation": pair_correlations(seen),
        "frames": stills(seen),
        "textures": textures(own, display, display.after(own, horizon), horizon),
    }


def _observed(run: Sequence[ComparedField], display: Display) -> list[Observed]:
    """The run's own field, restoring noise alone, and the other fields."""
    seen = [
        Observed(e.name, found, {"color": e.look["color"], "linestyle": "--" if e.null else "-"})
        for e in run
        if (found := e.reference.watched.get(e.field))
    ]
    return [seen[0], Observed(REST_NAME, _rest(run, display), REST_LOOK), *seen[1:]]


def _rest(run: Sequence[ComparedField], display: Display) -> Watched:
    return at_rest(display.model.score, run[0].reference, display.integrator)


def stills(seen: Sequence[Observed]) -> Figure:
    """Frames of the films, evenly spaced from the first to the last."""
    chosen = np.linspace(0, len(seen[0].watched.film) - 1, STILLS).round().astype(int)
    times = (seen[0].watched.motion.dt * chosen).tolist()
    rows = [ImageSequence(fill(e.name, 12), e.watched.film[chosen].numpy()) for e in seen]
    return frame_rows(rows, times, None)


def tracks(seen: Sequence[Observed], background: np.ndarray) -> Figure:
    """The last frames of films, faded, under the tracks of all objects, which darken with time."""
    figure = new_figure(WIDTH, WIDTH / len(seen) + 0.3)
    for axes, (name, watched, line) in zip(figure.subplots(1, len(seen)), seen, strict=True):
        last = watched.film[-1].numpy().transpose(1, 2, 0)
        axes.imshow(trails.FADED * last + (1 - trails.FADED) * background)
        lines, ends = ways(watched.motion.tracks, 0, len(watched.film) - 1)
        colours = np.tile(to_rgba(line["color"]), (len(ends), 1))
        colours[:, 3] = 0.2 + 0.8 * ends / (len(watched.film) - 1)
        axes.add_collection(LineCollection([*lines], colors=colours, linewidths=1.3), autolim=False)
        axes.set(title=name, xticks=[], yticks=[])
        axes.spines[["top", "right"]].set_visible(True)
        axes.grid(visible=False)
    return figure


def displacements(seen: Sequence[Observed]) -> Figure:
    """Mean squared displacement against the lag, and autocorrelation of velocities."""
    figure = new_figure(WIDTH, 3.3)
    squared, correlated = figure.subplots(1, 2)
    squared.set(xscale="log", yscale="log", xlabel="lag", title="mean squared displacement (px²)")
    correlated.set(xlabel="lag", title="autocorrelation of velocities")
    correlated.axhline(0, **GUIDE)
    for name, watched, line in seen:
        motion = watched.motion
        squared.plot(motion.lags[1:], motion.mean_squared_displacement[1:], label=name, **line)
        rho = motion.autocorrelation
        correlated.plot(motion.dt * np.arange(len(rho)), rho, **line)
    _slopes(squared, seen[0].watched.motion)
    for axis in (squared.xaxis, squared.yaxis):
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < MANY * low else (1,)))
        axis.set_major_formatter("{x:g}")
    squared.minorticks_off()
    figure.legend(*squared.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _slopes(axes: Axes, motion: Motion) -> None:
    """Guides for diffusion and directed motion, from below the first displacement on."""
    lags, first = motion.lags[1:], motion.mean_squared_displacement[1]
    if not first > 0:  # nothing moved, or there was nothing to move
        return
    limits = axes.get_ylim()
    for slope, text in ((1, "∝ lag"), (2, "∝ lag²")):
        guide = first / 2 * (lags / lags[0]) ** slope
        axes.plot(lags, guide, **GUIDE)
        end = np.searchsorted(guide, limits[1]) - 1
        axes.annotate(text, (lags[end], guide[end]), ha="right", va="center", bbox=BLANK, **WRITTEN)
    axes.set_ylim(limits)


def pair_correlations(seen: Sequence[Observed]) -> Figure:
    """Pair correlation ``g(r)`` of the objects, 1 for objects that are placed independently."""
    figure = new_figure(WIDTH, 3.1)
    axes = figure.add_subplot(xlabel="distance (px)", ylabel="pair correlation g(r)")
    axes.axhline(1, **GUIDE)
    for name, watched, line in seen:
        axes.plot(*pair_correlation(watched.motion.tracks, BINS_PER_RADIUS), label=name, **line)
    diameter = 2 * seen[0].watched.motion.tracks.radius
    axes.axvline(diameter, linestyle="--", **GUIDE)
    above = axes.get_xaxis_transform()
    axes.text(diameter, 1.01, "diameter of an icon", transform=above, ha="center", **WRITTEN)
    axes.set(xlim=(0, None), ylim=(0, None))
    figure.legend(loc="outside lower center", ncols=3)
    return figure
