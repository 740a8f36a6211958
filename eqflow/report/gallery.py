"""Figures and films of a run: which are drawn, and from what."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from matplotlib.figure import Figure

from eqflow.evaluation import ComparedField, kinds
from eqflow.fields import Ensemble
from eqflow.report import behaviour, chaos, curves, inference, motion, opening, portraits
from eqflow.report.curves import History
from eqflow.report.display import DRAWN_ORBITS, Display
from eqflow.report.equations import FittedEquations, fitted_equations
from eqflow.report.film import write_film
from eqflow.report.overview import overview
from eqflow.report.pairs import pairs
from eqflow.report.portraits import Portrait
from eqflow.report.style import TRUTH
from eqflow.report.text import SIGMA, number

STREAMLINE_NULLS = ("random", "score")
"""Nulls whose streamlines are drawn beside those of the fitted fields."""

FURTHER_FIGURES: dict[str, Callable[[Sequence[ComparedField], Display], Figure | None]] = {}
"""Figures from outside the package: name -> drawing function, whose docstring is the caption."""


def draw(run: Sequence[ComparedField], history: History, display: Display) -> dict[str, Figure]:
    """Name -> figure, of all figures whose measures were taken."""
    images = len(run[0].field.shape) > 1
    figures = {
        "preservation": curves.preservation(run),
        **_of_states(run)(run, display),
        **_inference(run, display),
        "pairs": _pairs(run, display),
        "chaos": None if images else chaos.figure(run, display),
        "similarity": (curves.image_similarity if images else curves.similarity)(run),
        "losses": curves.losses(history),
        **{name: draw_figure(run, display) for name, draw_figure in FURTHER_FIGURES.items()},
    }
    return {name: figure for name, figure in figures.items() if figure}


def opened(
    run: Sequence[ComparedField], display: Display, film: Path
) -> tuple[dict[str, Figure], Path]:
    """What the page opens with: write the film, of vectors with a picture of the whole of it."""
    if len(run[0].field.shape) > 1:
        filmed = behaviour.film if behaviour.watched(run) else motion.film
        return {}, filmed(run, display, film)
    portraits = opening.moving(run, display)
    figures = {"opening": opening.picture(portraits, display)}
    return figures, write_film(film, opening.frames(portraits, display))


def _of_states(
    run: Sequence[ComparedField],
) -> Callable[[Sequence[ComparedField], Display], dict[str, Figure]]:
    """What draws the states of a run: objects, other images, or vectors."""
    if len(run[0].field.shape) == 1:
        return _portraits
    return behaviour.figures if behaviour.watched(run) else motion.figures


def _portraits(run: Sequence[ComparedField], display: Display) -> dict[str, Figure]:
    """Figures of state space."""
    own, dim = run[0], run[0].field.dim
    figures = {"overview": overview(own, display)}
    others = [e for e in run[1:] if not e.null or e.family in STREAMLINE_NULLS]
    if dim == 2 and others:
        figures["streamlines"] = portraits.streamlines(others, display)
    if dim >= 3:
        figures["trajectories"] = _trajectories(run, display)
    if dim >= 2 and own.ratios:
        figures["distributions"] = portraits.distributions(own, display)
    return figures


def _trajectories(run: Sequence[ComparedField], display: Display) -> Figure:
    """Trajectories of the run's own field, of equations beside it and of the true system."""
    rows = [Portrait("held-out data", display.states())]
    length = f"{DRAWN_ORBITS} trajectories of {display.orbit_time:g} transit times"
    for compared in run:
        if compared.own or compared.findings:
            level = f", {SIGMA} = {number(compared.sigma)}" if compared.sigma else ""
            path, colour = display.orbits(compared, display.integrator), compared.look["color"]
            title, states = f"{compared.name}: {length}{level}", display.states(compared.sigma)
            rows.append(Portrait(title, states, path, colour))
    truth = display.true_path(display.snapshots.test[:DRAWN_ORBITS], display.orbit_times)
    if truth is not None:
        title = "the true system, as many and as long"
        rows.append(Portrait(title, display.states(), truth, TRUTH))
    return portraits.projections(rows, display.coordinates)


def _pairs(run: Sequence[ComparedField], display: Display) -> Figure | None:
    """Similarity of an ensemble's members to each other and to fields of other kinds."""
    members = next((e for e in run if e.role == "member"), None)
    if members is None:
        return None
    ensemble, network = cast(Ensemble, members.field), display.model.config["field"]
    parts = (display.model.score, members.reference)
    return pairs(kinds(ensemble, members.family, *parts, **network), members.numbers)


def _inference(run: Sequence[ComparedField], display: Display) -> dict[str, Figure]:
    """How far the data decide the equations of the run: its own, or the first beside it."""
    fitted = next(iter(fitted_equations(run)), None)
    if fitted is None:
        return {}
    figures = {"spectrum": inference.spectrum(fitted), "selection": inference.selection(fitted)}
    predicted = _predicted(fitted, display)
    return figures | ({"predicted": predicted} if predicted else {})


def _predicted(fitted: FittedEquations, display: Display) -> Figure | None:
    """Predicted against true velocity, where the truth is known and the dimension is low."""
    compared, velocities = fitted.compared, display.velocities(fitted.compared)
    dim = compared.field.dim
    if velocities is None or "truth/cos" not in compared.numbers:
        return None
    if dim > inference.MAX_PREDICTED_DIM:
        return None
    return inference.predicted(fitted, *velocities)
