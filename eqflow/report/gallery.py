"""Which figures a run has something to show for."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure

from eqflow.report import curves, portraits
from eqflow.report.curves import History
from eqflow.report.entry import Entry
from eqflow.report.scene import Scene
from eqflow.report.style import TRUTH

PANELS = ("random", "score")
"""Nulls whose streamlines are drawn beside the fitted fields."""

ORBIT, RUNS = 30.0, 3
"""Length in transit times and number of the trajectories that are drawn."""


def draw(run: Sequence[Entry], history: History, scene: Scene) -> dict[str, Figure]:
    """Every figure that the run has something to show for, by name."""
    drawn = {
        "preservation": curves.preservation(run),
        **_portraits(run, scene),
        "similarity": curves.similarity(run),
        "losses": curves.losses(history),
    }
    return {name: figure for name, figure in drawn.items() if figure}


def _portraits(run: Sequence[Entry], scene: Scene) -> dict[str, Figure]:
    if scene.states.ndim != 2:  # grids have no state space to draw in
        return {}
    own, dim = run[0], scene.states.shape[1]
    drawn = {}
    if dim == 2:
        shown = [e for e in run if not e.null or e.family in PANELS]
        drawn["streamlines"] = portraits.streamlines(shown, scene.velocity, scene.states)
    if dim >= 3:
        drawn["trajectories"] = _trajectories(own, scene)
    if dim >= 2 and own.ratios:
        last = max(own.ratios)
        after = scene.path(own, torch.tensor([0.0, last]))[-1]
        drawn["distributions"] = portraits.distributions(scene.states, after, own, last)
    return drawn


def _trajectories(own: Entry, scene: Scene) -> Figure:
    times = torch.arange(0, ORBIT, 0.1)
    title = f"{own.name}: {RUNS} trajectories of {ORBIT:g} transit times"
    paths = {title: (scene.path(own, times, RUNS), own.look["color"])}
    truth = scene.true_path(times, RUNS)
    if truth is not None:
        paths["the true system, as many and as long"] = (truth, TRUTH)
    return portraits.projections(scene.states, paths)
