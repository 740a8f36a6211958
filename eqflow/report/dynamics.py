"""Figure of one field over states, without the run that a report is about."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import rc_context
from matplotlib.figure import Figure

from eqflow.fields import Family
from eqflow.report.frames import ImageSequence, colour_scale, frame_rows
from eqflow.report.portraits import Portrait, dots, flow_lines, limits_of, panel, projections
from eqflow.report.style import STYLE, new_figure
from eqflow.report.text import coordinates

SHOWN_STATES, TRAJECTORIES, FRAMES = 800, 3, 5
"""Largest numbers of states and of trajectories of vectors, and number of images, in a figure."""

Array = np.ndarray


def dynamics(
    family: Family,
    states: Float[Array, "n *shape"],
    velocity: Callable[[Array], Array],
    simulate: Callable[[Array, Array], Array],
    time: float,
    names: Sequence[str] | None = None,
) -> Figure:
    """A field of ``family`` over raw ``states``.

    In two dimensions streamlines of ``velocity``, in more dimensions the first trajectories, of
    images the first one as time goes on; ``simulate`` maps raw states and times, up to ``time``, to
    raw states; ``names`` are those of the features.
    """
    shown = states[np.random.default_rng(0).permutation(len(states))[:SHOWN_STATES]]
    with rc_context(STYLE):
        if states.ndim > 2:
            times = np.linspace(0, time, FRAMES)
            images = ImageSequence(family.label, simulate(states[:1], times)[:, 0])
            return frame_rows([images], times.tolist(), colour_scale(states))
        labels = coordinates(states.shape[1], names)
        if states.shape[1] == 2:
            return _plane(shown, velocity, family.colour, labels)
        path = simulate(states[:TRAJECTORIES], np.linspace(0, time, 301))
        return projections([Portrait(family.label, shown, path, family.colour)], labels)


def _plane(
    states: Float[Array, "n 2"],
    velocity: Callable[[Array], Array],
    colour: str,
    labels: Sequence[str],
) -> Figure:
    figure, limits = new_figure(4.6, 4), limits_of(states)
    axes = panel(figure.add_subplot(), limits, labels)
    dots(axes, states)
    flow_lines(axes, velocity, limits, colour)
    return figure
