"""The figures of a run: which there are, and what each is drawn from."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import torch
from matplotlib.figure import Figure

from eqflow.evaluation import ComparedField, kinds
from eqflow.fields import Ensemble
from eqflow.report import chaos, curves, motion, portraits
from eqflow.report import inference as evidence
from eqflow.report.curves import History
from eqflow.report.display import Display
from eqflow.report.equations import Law, laws
from eqflow.report.overview import overview
from eqflow.report.pairs import pairs
from eqflow.report.portraits import Row
from eqflow.report.style import SIGMA, TRUTH, number
from eqflow.terms import variable_names

STREAMLINE_NULLS = ("random", "score")
"""Nulls whose streamlines are drawn beside the fitted fields."""

FURTHER_FIGURES: dict[str, Callable[[Sequence[ComparedField], Display], Figure | None]] = {}
"""Figures from outside the package: name -> what draws it, whose docstring is the caption."""


def draw(run: Sequence[ComparedField], history: History, display: Display) -> dict[str, Figure]:
    """The figures that the run has measured enough for, by name."""
    images = len(run[0].field.shape) > 1
    drawn = {
        "preservation": curves.preservation(run),
        **(motion.pictures if images else _portraits)(run, display),
        **_evidence(run, display),
        "pairs": _pairs(run, display),
        "chaos": None if images else chaos.figure(run, display),
        "similarity": (curves.image_similarity if images else curves.similarity)(run),
        "losses": curves.losses(history),
        **{name: draw_figure(run, display) for name, draw_figure in FURTHER_FIGURES.items()},
    }
    return {name: figure for name, figure in drawn.items() if figure}


def films(run: Sequence[ComparedField], display: Display, folder: Path) -> dict[str, Path]:
    """The films of a run on images, by name, written into ``folder``."""
    return motion.films(run, display, folder) if len(run[0].field.shape) > 1 else {}


def _portraits(run: Sequence[ComparedField], display: Display) -> dict[str, Figure]:
    own = run[0]
    dim, drawn = own.field.dim, {"overview": overview(own, display)}
    if dim == 2:
        others = [e for e in run[1:] if not e.null or e.family in STREAMLINE_NULLS]
        if others:  # the own field is in the overview
            drawn["streamlines"] = portraits.streamlines(others, display.velocity, display.states)
    if dim >= 3:
        drawn["trajectories"] = _trajectories(run, display)
    if dim >= 2 and own.ratios:
        last = max(own.ratios)
        after = display.path(own, torch.tensor([0.0, last]))[-1]
        before = display.states(own.sigma)
        drawn["distributions"] = portraits.distributions(before, after, own, last)
    return drawn


def _trajectories(run: Sequence[ComparedField], display: Display) -> Figure:
    """Of the run's own field, of a law beside it and of the true system."""
    times = torch.arange(0, portraits.ORBIT, 0.1)
    rows = [Row("held-out data", display.states())]
    for compared in (e for e in run if e.own or e.findings):
        title = (
            f"{compared.name}: {portraits.RUNS} trajectories of {portraits.ORBIT:g} transit times"
        )
        title += f", {SIGMA} = {number(compared.sigma)}" if compared.sigma else ""
        path = display.path(compared, times, portraits.RUNS)
        rows.append(Row(title, display.states(compared.sigma), path, compared.look["color"]))
    truth = display.true_path(times, portraits.RUNS)
    if truth is not None:
        rows.append(Row("the true system, as many and as long", display.states(), truth, TRUTH))
    return portraits.projections(rows)


def _pairs(run: Sequence[ComparedField], display: Display) -> Figure | None:
    """How alike the members of an ensemble are, beside other kinds of fields."""
    members = next((e for e in run if e.role == "member"), None)
    if members is None:
        return None
    ensemble, random = cast(Ensemble, members.field), display.model.config["field"]
    parts = (display.model.score, members.reference)
    return pairs(kinds(ensemble, members.family, *parts, **random), members.numbers)


def _evidence(run: Sequence[ComparedField], display: Display) -> dict[str, Figure]:
    """How far the data decide the law of the run, its own or the first beside it."""
    law = next(iter(laws(run)), None)
    if law is None:
        return {}
    drawn = {"spectrum": evidence.spectrum(law), "selection": evidence.selection(law)}
    predicted = _predicted(law, display)
    return drawn | ({"predicted": predicted} if predicted else {})


def _predicted(law: Law, display: Display) -> Figure | None:
    velocities, dim = display.velocities(law.entry), law.entry.field.dim
    if velocities is None or dim > evidence.COORDINATES or "truth/cos" not in law.entry.numbers:
        return None
    return evidence.predicted(law, *velocities, variable_names(dim))
