"""Report of a run: its figures and films as files, and one self-contained HTML page with them."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from matplotlib import rc_context
from matplotlib.figure import Figure

from eqflow.evaluation import SAMPLING_NOISE, ComparedField
from eqflow.report import chaos, observed, opening, trails
from eqflow.report.curves import History
from eqflow.report.display import Display
from eqflow.report.equations import fitted_equations
from eqflow.report.gallery import FURTHER_FIGURES, draw, opened
from eqflow.report.html import write_page
from eqflow.report.style import STYLE
from eqflow.report.text import number
from eqflow.report.verdict import crossed, evidence, lead, levels, tables
from eqflow.runtime import replacing


class StageRecord(NamedTuple):
    """What the stages of a run recorded: losses of those that were trained, and seconds of all."""

    losses: History
    seconds: Mapping[str, float]


@torch.no_grad()
def write_report(
    folder: Path,
    config: Mapping[str, Any],
    run: Sequence[ComparedField],
    stages: StageRecord,
    display: Display,
) -> list[Path]:
    """Write ``report.html`` and its figures; returns the paths of the figures and of the film.

    The page leaves out what was not measured.

    Arguments:
        folder: folder of the run; figures and films are written into ``figures``.
        config: the resolved configuration.
        run: the fields that are compared, with their measures, the run's own first.
        stages: losses and seconds of the stages.
        display: simulates the fields.
    """
    with rc_context(STYLE):
        film = folder / "figures" / "film.mp4"
        film.parent.mkdir(parents=True, exist_ok=True)
        first, film = opened(run, display, film)
        figures = first | draw(run, stages.losses, display)
        paths = {name: _save(figure, folder, name) for name, figure in figures.items()}
    write_page(
        folder / "report.html",
        "page.html.j2",
        run=run,
        config=config,
        integrator=display.integrator,
        snapshots=display.snapshots,
        levels=list(levels(run)),
        fitted=fitted_equations(run),
        lead=lead(run),
        evidence=evidence(run),
        noise=SAMPLING_NOISE,
        tables=tables(run, run[0].field.dim),
        measured={name for e in run for name in e.numbers},
        seconds=", ".join(f"{stage} {number(value)}" for stage, value in stages.seconds.items()),
        chaos=chaos.table(run),
        behaviour=observed.table(run),
        crossed=crossed(run),
        figures={name: _embedded(path) for name, path in paths.items()},
        inches={name: figure.get_figwidth() for name, figure in figures.items()},
        film=_embedded(film),
        film_time=opening.TIME,
        trail=trails.TRAIL,
        further={name: draw_figure.__doc__ for name, draw_figure in FURTHER_FIGURES.items()},
        resolved=json.dumps(config, indent=2, ensure_ascii=False, default=str),
    )
    return [*paths.values(), film]


def _embedded(path: Path) -> str:
    """The bytes of a file as text, for a ``data:`` address."""
    return b64encode(path.read_bytes()).decode()


def _save(figure: Figure, folder: Path, name: str) -> Path:
    path = folder / "figures" / f"{name}.png"
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
    return path
