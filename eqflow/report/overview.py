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

from eqflow.evaluation import held_out, step
from eqflow.report import portraits
from eqflow.report.entry import Entry
from eqflow.report.portraits import Frame, coordinates, flow_lines, frame, orbits, panel, points
from eqflow.report.scene import Scene
from eqflow.report.style import SIGMA, TRUTH, number, sheet
from eqflow.score import EmpiricalScore
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


def overview(own: Entry, scene: Scene) -> Figure:
    """Score, dynamics and SDE of a run's own field, side by side."""
    states, names = scene.states(scene.model.sigma), coordinates(own.velocity.dim)
    ends = [0, len(names) - 1]
    limits = [frame(states)[i] for i in ends]
    drawn = sheet(9.6, 3.5)
    axes = [panel(a, limits, [names[i] for i in ends]) for a in drawn.subplots(1, 3)]
    _score(axes[0], scene, states[:, ends], limits, own.velocity.dim)
    _dynamics(axes[1], own, scene, limits, ends)
    _sde(axes[2], own, scene, states[:, ends], ends)
    return drawn


def _score(
    axes: Axes, scene: Scene, states: Float[np.ndarray, "n 2"], limits: Frame, dim: int
) -> None:
    points(axes, states)
    start, end = on_grid(scene, limits) if dim == 2 else at_states(scene)
    axes.quiver(
        *start.T, *(end - start).T, angles="xy", scale_units="xy", scale=1, width=0.004, color=TRUTH
    )
    axes.set_title(f"score of the data\n{SIGMA} = {number(scene.model.sigma)}")


def on_grid(scene: Scene, limits: Frame) -> Arrows:
    """Arrows from a grid in the plane, where noised states are likely to be."""
    units, sigma = scene.snapshots.standardiser, scene.model.sigma
    grid = np.stack(np.meshgrid(*(np.linspace(*limit, ARROWS) for limit in limits)), axis=-1)
    z = units.standard(torch.as_tensor(grid.reshape(-1, 2)).to(units.mean)).float()
    far, _ = KDTree(scene.snapshots.test.cpu()).query(z.cpu())
    return _arrows(scene, z[torch.as_tensor(far < REACH * sigma)])


def at_states(scene: Scene) -> Arrows:
    """Arrows from some of the noised held-out states, in the plane that is drawn."""
    return _arrows(scene, held_out(scene.snapshots, scene.model.sigma, scene.protocol)[1][:300])


def _arrows(scene: Scene, z: Float[torch.Tensor, "n dim"]) -> Arrows:
    ends = [0, min(z.shape[1], 3) - 1]
    clean = scene.denoised(z, scene.model.sigma)
    return Arrows(*(scene.raw(x)[:, ends] for x in (z, clean)))


def _dynamics(axes: Axes, own: Entry, scene: Scene, limits: Frame, ends: Sequence[int]) -> None:
    points(axes, scene.states(own.sigma)[:, ends])
    level = f"\n{SIGMA} = {number(own.sigma)}, MMD² / floor95 = {number(own.ratio)}"
    if own.velocity.dim == 2:
        flow_lines(axes, lambda x: scene.velocity(own, x), limits, own.look["color"])
    else:
        integrator = RK4(step(scene.integrator)) if _eta(scene) else scene.integrator
        path = scene.path(own, torch.arange(0, portraits.ORBIT, 0.1), portraits.RUNS, integrator)
        orbits(axes, path[..., ends], own.look["color"])
    axes.set_title(own.name + level)


def _sde(
    axes: Axes, own: Entry, scene: Scene, states: Float[np.ndarray, "n 2"], ends: Sequence[int]
) -> None:
    points(axes, states)
    after, paths = diffused(own, scene)
    x, y = after[:, ends].T
    axes.scatter(x, y, s=8, color=own.look["color"], alpha=0.6, linewidths=0)
    orbits(axes, paths[..., ends], TRUTH)
    eta = number(_eta(scene) or ETA)
    axes.set_title(f"SDE, η = {eta}\nafter {SPAN:g} transit times")


def diffused(
    own: Entry, scene: Scene
) -> tuple[Float[np.ndarray, "n dim"], Float[np.ndarray, "times runs dim"]]:
    """Raw denoised states after ``SPAN`` transit times of the SDE, and the first few paths."""
    sigma, score = scene.model.sigma, scene.model.score
    if not own.sigma and isinstance(score, EmpiricalScore):
        score = EmpiricalScore(score.points[:POINTS])
    x0 = held_out(scene.snapshots, sigma, scene.protocol)[0]
    times = torch.arange(0, SPAN + STEP / 2, STEP)
    sde = HeunSDE(STEP, _eta(scene) or ETA).limited(own.velocity.longest_step)
    path = sde(own.velocity, x0, times, lambda x: score(x, sigma), scene.noise(x0))
    after, paths = (scene.denoised(x, sigma) for x in (path[-1], path[:, :PATHS]))
    return scene.raw(after), scene.raw(paths)


def _eta(scene: Scene) -> float:
    return getattr(scene.integrator, "eta", 0.0)
