"""The report of a run: its figures as files, and one page that holds them all."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib import rc_context
from matplotlib.figure import Figure

from eqflow.evaluation import ComparedField
from eqflow.report import chaos
from eqflow.report.curves import History
from eqflow.report.display import Display
from eqflow.report.equations import laws
from eqflow.report.gallery import FURTHER_FIGURES, draw, films
from eqflow.report.html import write_page
from eqflow.report.style import STYLE, number
from eqflow.report.verdict import SAMPLING_NOISE, crossed, levels, table, verdict
from eqflow.runtime import replacing


@torch.no_grad()
def write_report(
    folder: Path,
    config: Mapping[str, Any],
    run: Sequence[ComparedField],
    history: History,
    display: Display,
    seconds: Mapping[str, float],
) -> list[Path]:
    """Write ``figures/*`` and ``report.html`` into ``folder``; returns the paths of the figures.

    ``config`` is the resolved one, ``run`` the compared fields with their numbers, the run's own
    first, ``history`` the curves of training and ``seconds`` what each stage took. What was not
    measured is left out.
    """
    with rc_context(STYLE):
        figures = draw(run, history, display)
        paths = {name: _save(figure, folder, name) for name, figure in figures.items()}
    moving = films(run, display, folder / "figures")
    headings, rows = table(run, run[0].field.dim)
    write_page(
        folder / "report.html",
        "page.html.j2",
        run=run,
        config=config,
        integrator=display.integrator,
        snapshots=display.snapshots,
        levels=list(levels(run)),
        laws=laws(run),
        verdict=verdict(run),
        noise=SAMPLING_NOISE,
        headings=headings,
        rows=rows,
        seconds=", ".join(f"{stage} {number(value)}" for stage, value in seconds.items()),
        chaos=chaos.table(run),
        crossed=crossed(run),
        pictures={name: _embedded(path) for name, path in paths.items()},
        further={name: draw_figure.__doc__ for name, draw_figure in FURTHER_FIGURES.items()},
        films={name: _embedded(path) for name, path in moving.items()},
        resolved=json.dumps(config, indent=2, ensure_ascii=False, default=str),
    )
    return [*paths.values(), *moving.values()]


def _embedded(path: Path) -> str:
    return b64encode(path.read_bytes()).decode()


def _save(figure: Figure, folder: Path, name: str) -> Path:
    path = folder / "figures" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
    return path
