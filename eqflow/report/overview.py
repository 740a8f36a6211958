"""Figure of a run at a glance: the score of its data, its dynamics, and the SDE of both.

Side by side on the same raw limits, in the first and the last of the coordinates that are drawn.
Score and SDE are at the noise level of the run. Where its field is one of the snapshots themselves,
the score is the empirical one at that level, and the SDE keeps neither distribution exactly.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.spatial import KDTree

from eqflow.evaluation import ComparedField
from eqflow.report.display import Display
from eqflow.report.portraits import Limits, dots, flow_lines, limits_of, orbits, panel
from eqflow.report.style import TRUTH, WIDTH, new_figure
from eqflow.report.text import SIGMA, number
from eqflow.simulate import HeunSDE

SDE_STEP, SDE_PATHS = 0.1, 2
"""Time step of the SDE in transit times, and number of its trajectories that are drawn."""

DEFAULT_ETA = 0.1
"""Noise strength of the SDE where the run's own integrator has none."""

SCORE_POINTS = 4000
"""Largest number of snapshots in the empirical score of the SDE, which each step sums over."""

ARROWS_IN_ROW = 26
"""Arrows in a row, and in a column, of the grid."""


class ScoreArrows(NamedTuple):
    """Noised states and their expected clean states, raw, in the plane that is drawn."""

    start: Float[np.ndarray, "n 2"]
    end: Float[np.ndarray, "n 2"]


def overview(own: ComparedField, display: Display) -> Figure:
    """Score, dynamics and SDE of a run's own field, side by side."""
    names = display.coordinates
    ends = [0, len(names) - 1]
    states = display.states(display.model.sigma)[:, ends]
    limits = limits_of(states)
    figure = new_figure(WIDTH, 2.7)
    axes = [panel(a, limits, [names[i] for i in ends]) for a in figure.subplots(1, 3)]
    dots(axes[0], states)
    _score(axes[0], display, limits if own.field.dim == 2 else None)
    dots(axes[1], display.states(own.sigma)[:, ends])
    _dynamics(axes[1], own, display, limits, ends)
    dots(axes[2], states)
    _sde(axes[2], own, display, ends)
    return figure


def _score(axes: Axes, display: Display, limits: Limits | None) -> None:
    """Arrows from a grid within ``limits``, or else from held-out states."""
    start, end = on_grid(display, limits) if limits else at_states(display)
    style: dict[str, Any] = {
        "angles": "xy",
        "scale_units": "xy",
        "scale": 1,
        "width": 0.004,
        "color": TRUTH,
    }
    axes.quiver(*start.T, *(end - start).T, **style)
    axes.set_title(f"score of the data\n{SIGMA} = {number(display.model.sigma)}")


def on_grid(display: Display, limits: Limits, reach: float = 2.5) -> ScoreArrows:
    """Arrows from a grid in the plane, up to ``reach`` noise levels from a held-out state."""
    units, sigma = display.snapshots.standardiser, display.model.sigma
    grid = np.stack(np.meshgrid(*(np.linspace(*limit, ARROWS_IN_ROW) for limit in limits)), axis=-1)
    z = units.standard(torch.as_tensor(grid.reshape(-1, 2)).to(units.mean)).float()
    distances, _ = KDTree(display.snapshots.test.cpu()).query(z.cpu())
    return _arrows(display, z[torch.as_tensor(distances < reach * sigma)])


def at_states(display: Display) -> ScoreArrows:
    """Arrows from some of the noised held-out states."""
    return _arrows(display, display.reference(display.model.sigma).held_out[:300])


def _arrows(display: Display, z: Float[torch.Tensor, "n dim"]) -> ScoreArrows:
    ends = [0, min(z.shape[1], 3) - 1]
    clean = display.denoised(z, display.model.sigma)
    return ScoreArrows(*(display.raw(x)[:, ends] for x in (z, clean)))


def _dynamics(
    axes: Axes, own: ComparedField, display: Display, limits: Limits, ends: Sequence[int]
) -> None:
    """Streamlines in two dimensions, trajectories of the ODE in more."""
    if own.field.dim == 2:
        flow_lines(axes, partial(display.velocity, own), limits, own.look["color"])
    else:
        orbits(axes, display.orbits(own, display.ode)[..., ends], own.look["color"])
    axes.set_title(f"{own.name}\n{SIGMA} = {number(own.sigma)}")


def _sde(axes: Axes, own: ComparedField, display: Display, ends: Sequence[int]) -> None:
    """States after the SDE, and a few of its trajectories."""
    after, paths = diffused(own, display)
    x, y = after[:, ends].T
    axes.scatter(x, y, s=8, color=own.look["color"], alpha=0.6, linewidths=0)
    orbits(axes, paths[..., ends], TRUTH)
    eta = number(display.integrator.eta or DEFAULT_ETA)
    axes.set_title(f"SDE, η = {eta}\nafter {display.sde_time:g} transit times")


def diffused(
    own: ComparedField, display: Display
) -> tuple[Float[np.ndarray, "n dim"], Float[np.ndarray, "times runs dim"]]:
    """Raw denoised states after the SDE from held-out states, and its first few trajectories."""
    sigma, score = display.model.sigma, display.model.score
    if not own.sigma:
        score = score.thinned(SCORE_POINTS)
    x0 = display.reference(sigma).initial
    times = torch.arange(0, display.sde_time + SDE_STEP / 2, SDE_STEP)
    sde = HeunSDE(SDE_STEP, display.integrator.eta or DEFAULT_ETA).limited(own.field.longest_step)
    path = sde(own.field, x0, times, lambda x: score(x, sigma), display.noise(x0))
    after, paths = (display.denoised(x, sigma) for x in (path[-1], path[:, :SDE_PATHS]))
    return display.raw(after), display.raw(paths)
