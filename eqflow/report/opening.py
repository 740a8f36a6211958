"""The picture that the page of vectors opens with, and the film of it.

States move under the run's own field, under equations that were determined beside it, and under the
true system, side by side and from the same held-out states; where the true system is not known, the
snapshots are beside the field. Raw units, the first and the last of the drawn coordinates.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from eqflow.evaluation import ComparedField
from eqflow.report.display import DRAWN_ORBITS, Display
from eqflow.report.film import Picture
from eqflow.report.portraits import Portrait, dots, limits_of, orbits, panel
from eqflow.report.style import TRUTH, WIDTH, new_figure

MOVING_STATES = 60
"""Number of states that move; the first of them leave trails."""

TIME, FRAMES = 12.0, 120
"""Length of the film in transit times, and number of its frames after the first."""

RESOLUTION = 140
"""Pixels of the film in an inch."""

STEPS_OF_TRAIL = 20
"""Dots of a trail between two frames."""

Array = np.ndarray


def moving(run: Sequence[ComparedField], display: Display) -> list[Portrait]:
    """What stands side by side: fields, and the true system or else the snapshots."""
    times, ends = torch.linspace(0, TIME, FRAMES + 1), [0, len(display.coordinates) - 1]
    snapshots = display.snapshots.test[:MOVING_STATES]
    fields = [e for e in run if e.own or (e.findings and not e.findings.reason)]
    portraits = []
    for compared in fields:
        start = display.reference(compared.sigma).initial[:MOVING_STATES]
        path = display.path_from(compared, start, times, display.ode)[..., ends]
        states = display.states(compared.sigma)[:, ends]
        portraits.append(Portrait(compared.name, states, path, compared.look["color"]))
    clean, truth = display.states()[:, ends], display.true_path(snapshots, times)
    if truth is None:
        return [Portrait("held-out snapshots", clean), *portraits]
    return [*portraits, Portrait("true system", clean, truth[..., ends], TRUTH)]


def picture(portraits: Sequence[Portrait], display: Display) -> Figure:
    """The first trajectories of the portraits, over the whole length of the film."""
    figure, panels = _panels(portraits, display)
    for axes, portrait in zip(panels, portraits, strict=True):
        if portrait.path is not None:
            orbits(axes, portrait.path[:, :DRAWN_ORBITS], portrait.colour)
    return figure


def frames(portraits: Sequence[Portrait], display: Display) -> Iterator[Picture]:
    """The states of the portraits as time goes on: dots, the first of them with their trails."""
    figure, panels = _panels(portraits, display)
    figure.set_dpi(RESOLUTION)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    trails = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    moved = [
        (_pixels(axes, portrait.path), np.asarray(axes.bbox.extents).astype(int), portrait.colour)
        for axes, portrait in zip(panels, portraits, strict=True)
        if portrait.path is not None
    ]
    for time in range(FRAMES + 1):
        frame = trails.copy()
        for path, inside, colour in moved:
            light = [(1 + 2 * c) / 3 for c in to_rgb(colour)]
            _paint(frame, path[time, DRAWN_ORBITS:], inside, light, radius=2)
            between = path[max(time - 1, 0) : time + 1, :DRAWN_ORBITS]
            weights = np.linspace(0, 1, STEPS_OF_TRAIL)[:, None, None]
            line = (1 - weights) * between[0] + weights * between[-1]
            for picture_of in (trails, frame):
                _paint(picture_of, line.reshape(-1, 2), inside, to_rgb(colour), radius=1)
            _paint(frame, between[-1], inside, to_rgb(colour), radius=5)
        yield frame


def _panels(portraits: Sequence[Portrait], display: Display) -> tuple[Figure, list[Axes]]:
    """A panel with the states of each portrait, all on the limits of the last."""
    names, limits = display.coordinates, limits_of(portraits[-1].states)
    count = len(portraits)
    height = 2 * round(RESOLUTION * (0.6 + 5.0 / count) / 2)  # films have even sides
    figure = new_figure(WIDTH, height / RESOLUTION)
    panels = [figure.add_subplot(1, count, place) for place in range(1, count + 1)]
    for axes, portrait in zip(panels, portraits, strict=True):
        panel(axes, limits, [names[0], names[-1]])
        dots(axes, portrait.states, size=3)
        axes.set_title(portrait.title)
        if axes is not panels[0]:
            axes.set(ylabel="", yticklabels=[])
    return figure, panels


def _pixels(axes: Axes, path: Float[Array, "times runs 2"]) -> Float[Array, "times runs 2"]:
    """Columns and rows of raw states, from the lower left corner; outside if not finite."""
    finite = np.nan_to_num(path, nan=1e30, posinf=1e30, neginf=-1e30)
    return axes.transData.transform(finite.reshape(-1, 2)).reshape(path.shape)


def _paint(
    frame: Picture,
    points: Float[Array, "n 2"],
    inside: Int[Array, "4"],
    colour: Sequence[float],
    radius: int,
) -> None:
    """Paint discs within the panel whose corners are ``inside``."""
    left, bottom, right, top = inside
    shown = points[((points > [left, bottom]) & (points < [right, top])).all(1)].astype(int)
    offsets = np.mgrid[-radius : radius + 1, -radius : radius + 1].reshape(2, -1).T
    disc = offsets[(offsets**2).sum(1) <= radius * (radius + 0.5)]
    columns, rows = (shown[:, None] + disc).reshape(-1, 2).T
    height, width, _ = frame.shape
    rows = height - 1 - rows
    frame[rows.clip(0, height - 1), columns.clip(0, width - 1)] = np.round(
        255 * np.asarray(colour)
    ).astype(np.uint8)
