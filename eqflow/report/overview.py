"""A run at a glance: the score of its data, the dynamics learned from it, and their SDE.

Side by side on the same raw limits, in the first and last of the coordinates that are drawn. Score
and SDE are at the noise level of the run; where the field is one of the snapshots themselves, the
score is the empirical one at that level, and the SDE keeps neither law exactly.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.spatial import KDTree

from eqflow.evaluation import ComparedField, step
from eqflow.report import portraits
from eqflow.report.display import Display
from eqflow.report.portraits import Frame, coordinates, flow_lines, frame, orbits, panel, points
from eqflow.report.style import SIGMA, TRUTH, number, sheet
from eqflow.simulate import RK4, HeunSDE

SPAN, STEP, PATHS = 5.0, 0.1, 2
"""Transit times of the SDE, its step, and how many of its paths are drawn."""


POINTS = 4000
"""Snapshots at most that the empirical score of the SDE is made of: one step sees all of them."""


ARROWS, REACH = 26, 2.5
"""Arrows in a row of the grid; from how many noise levels around a state they are drawn."""


ETA = 0.1
"""Strength of the noise, where the run's own integrator has none."""


class Arrows(NamedTuple):
    """Raw states in the plane that is drawn, and where their expected clean states are."""

    start: Float[np.ndarray, "n 2"]
    end: Float[np.ndarray, "n 2"]


def overview(own: ComparedField, display: Display) -> Figure:
    """Score, dynamics and SDE of a run's own field, side by side."""
    states, names = display.states(display.model.sigma), coordinates(own.field.dim)
    ends = [0, len(names) - 1]
    limits = [frame(states)[i] for i in ends]
    drawn = sheet(9.6, 3.5)
    axes = [panel(a, limits, [names[i] for i in ends]) for a in drawn.subplots(1, 3)]
    _score(axes[0], display, states[:, ends], limits, own.field.dim)
    _dynamics(axes[1], own, display, limits, ends)
    _sde(axes[2], own, display, states[:, ends], ends)
    return drawn


def _score(
    axes: Axes, display: Display, states: Float[np.ndarray, "n 2"], limits: Frame, dim: int
) -> None:
    points(axes, states)
    start, end = on_grid(display, limits) if dim == 2 else at_states(display)
    axes.quiver(
        *start.T, *(end - start).T, angles="xy", scale_units="xy", scale=1, width=0.004, color=TRUTH
    )
    axes.set_title(f"score of the data\n{SIGMA} = {number(display.model.sigma)}")


def on_grid(display: Display, limits: Frame) -> Arrows:
    """Arrows from a grid in the plane, where noised states are likely to be."""
    units, sigma = display.snapshots.standardiser, display.model.sigma
    grid = np.stack(np.meshgrid(*(np.linspace(*limit, ARROWS) for limit in limits)), axis=-1)
    z = units.standard(torch.as_tensor(grid.reshape(-1, 2)).to(units.mean)).float()
    far, _ = KDTree(display.snapshots.test.cpu()).query(z.cpu())
    return _arrows(display, z[torch.as_tensor(far < REACH * sigma)])


def at_states(display: Display) -> Arrows:
    """Arrows from some of the noised held-out states, in the plane that is drawn."""
    return _arrows(display, display.reference(display.model.sigma).held_out[:300])


def _arrows(display: Display, z: Float[torch.Tensor, "n dim"]) -> Arrows:
    ends = [0, min(z.shape[1], 3) - 1]
    clean = display.denoised(z, display.model.sigma)
    return Arrows(*(display.raw(x)[:, ends] for x in (z, clean)))


def _dynamics(
    axes: Axes, own: ComparedField, display: Display, limits: Frame, ends: Sequence[int]
) -> None:
    points(axes, display.states(own.sigma)[:, ends])
    level = f"\n{SIGMA} = {number(own.sigma)}, MMD² / floor95 = {number(own.ratio)}"
    if own.field.dim == 2:
        flow_lines(axes, lambda x: display.velocity(own, x), limits, own.look["color"])
    else:
        integrator = RK4(step(display.integrator)) if _eta(display) else display.integrator
        path = display.path(own, torch.arange(0, portraits.ORBIT, 0.1), portraits.RUNS, integrator)
        orbits(axes, path[..., ends], own.look["color"])
    axes.set_title(own.name + level)


def _sde(
    axes: Axes,
    own: ComparedField,
    display: Display,
    states: Float[np.ndarray, "n 2"],
    ends: Sequence[int],
) -> None:
    points(axes, states)
    after, paths = diffused(own, display)
    x, y = after[:, ends].T
    axes.scatter(x, y, s=8, color=own.look["color"], alpha=0.6, linewidths=0)
    orbits(axes, paths[..., ends], TRUTH)
    eta = number(_eta(display) or ETA)
    axes.set_title(f"SDE, η = {eta}\nafter {SPAN:g} transit times")


def diffused(
    own: ComparedField, display: Display
) -> tuple[Float[np.ndarray, "n dim"], Float[np.ndarray, "times runs dim"]]:
    """Raw denoised states after ``SPAN`` transit times of the SDE, and the first few paths."""
    sigma, score = display.model.sigma, display.model.score
    if not own.sigma:
        score = score.thinned(POINTS)
    x0 = display.reference(sigma).initial
    times = torch.arange(0, SPAN + STEP / 2, STEP)
    sde = HeunSDE(STEP, _eta(display) or ETA).limited(own.field.longest_step)
    path = sde(own.field, x0, times, lambda x: score(x, sigma), display.noise(x0))
    after, paths = (display.denoised(x, sigma) for x in (path[-1], path[:, :PATHS]))
    return display.raw(after), display.raw(paths)


def _eta(display: Display) -> float:
    return display.integrator.eta
