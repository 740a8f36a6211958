"""Which figures a run has something to show for."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from matplotlib.figure import Figure

from eqflow.evaluation import kinds
from eqflow.fields import Ensemble
from eqflow.report import chaos, curves, motion, portraits
from eqflow.report import inference as evidence
from eqflow.report.curves import History
from eqflow.report.entry import Entry
from eqflow.report.equations import FittedEquations, fitted_equations
from eqflow.report.overview import overview
from eqflow.report.pairs import pairs
from eqflow.report.portraits import Row
from eqflow.report.scene import Scene
from eqflow.report.style import SIGMA, TRUTH, number
from eqflow.terms import variable_names

PANELS = ("random", "score")
"""Nulls whose streamlines are drawn beside the fitted fields."""


def draw(run: Sequence[Entry], history: History, scene: Scene) -> dict[str, Figure]:
    """Every figure that the run has something to show for, by name."""
    images = len(run[0].velocity.shape) > 1
    drawn = {
        "preservation": curves.preservation(run),
        **(motion.pictures if images else _portraits)(run, scene),
        **_evidence(run, scene),
        "pairs": _pairs(run, scene),
        "chaos": None if images else chaos.figure(run, scene),
        "similarity": (curves.image_similarity if images else curves.similarity)(run),
        "losses": curves.losses(history),
    }
    return {name: figure for name, figure in drawn.items() if figure}


def films(run: Sequence[Entry], scene: Scene, folder: Path) -> dict[str, Path]:
    """Every film that the run has something to show for, by name, written into ``folder``."""
    return motion.films(run, scene, folder) if len(run[0].velocity.shape) > 1 else {}


def _portraits(run: Sequence[Entry], scene: Scene) -> dict[str, Figure]:
    own = run[0]
    dim, drawn = own.velocity.dim, {"overview": overview(own, scene)}
    if dim == 2:
        others = [e for e in run[1:] if not e.null or e.family in PANELS]
        if others:  # the own field is in the overview
            drawn["streamlines"] = portraits.streamlines(others, scene.velocity, scene.states)
    if dim >= 3:
        drawn["trajectories"] = _trajectories(run, scene)
    if dim >= 2 and own.ratios:
        last = max(own.ratios)
        after = scene.path(own, torch.tensor([0.0, last]))[-1]
        before = scene.states(own.sigma)
        drawn["distributions"] = portraits.distributions(before, after, own, last)
    return drawn


def _trajectories(run: Sequence[Entry], scene: Scene) -> Figure:
    """Of the run's own field, of a law beside it and of the true system."""
    times = torch.arange(0, portraits.ORBIT, 0.1)
    rows = [Row("held-out data", scene.states())]
    for entry in (e for e in run if e.own or e.findings):
        title = f"{entry.name}: {portraits.RUNS} trajectories of {portraits.ORBIT:g} transit times"
        title += f", {SIGMA} = {number(entry.sigma)}" if entry.sigma else ""
        path = scene.path(entry, times, portraits.RUNS)
        rows.append(Row(title, scene.states(entry.sigma), path, entry.look["color"]))
    truth = scene.true_path(times, portraits.RUNS)
    if truth is not None:
        rows.append(Row("the true system, as many and as long", scene.states(), truth, TRUTH))
    return portraits.projections(rows)


def _pairs(run: Sequence[Entry], scene: Scene) -> Figure | None:
    """How alike the members of an ensemble are, beside other kinds of fields."""
    members = next((e for e in run if isinstance(e.velocity, Ensemble) and not e.own), None)
    if members is None:
        return None
    parts = (scene.model.score, scene.snapshots, members.sigma, scene.measured)
    ensemble, random = cast(Ensemble, members.velocity), scene.model.config["field"]
    found = kinds(ensemble, run[0].family, *parts, **random)
    return pairs(found, members.numbers)


def _evidence(run: Sequence[Entry], scene: Scene) -> dict[str, Figure]:
    """How far the data decide the law of the run, its own or the first beside it."""
    fitted = next(iter(fitted_equations(run)), None)
    if fitted is None:
        return {}
    drawn = {"spectrum": evidence.spectrum(fitted), "selection": evidence.selection(fitted)}
    predicted = _predicted(fitted, scene)
    return drawn | ({"predicted": predicted} if predicted else {})


def _predicted(fitted: FittedEquations, scene: Scene) -> Figure | None:
    velocities, dim = scene.velocities(fitted.entry), fitted.entry.velocity.dim
    if (
        velocities is None
        or dim > evidence.MAX_PREDICTED_DIM
        or "truth/cos" not in fitted.entry.numbers
    ):
        return None
    return evidence.predicted(fitted, *velocities, variable_names(dim))
