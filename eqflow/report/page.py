"""The report of a run: its figures as files, and one page that holds them all."""

import json
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from matplotlib import rc_context
from matplotlib.figure import Figure

from eqflow.data import Snapshots
from eqflow.discovery import Findings
from eqflow.fields import VelocityField
from eqflow.model import FlowModel
from eqflow.report import chaos
from eqflow.report.curves import History
from eqflow.report.entry import Numbers, entries
from eqflow.report.equations import fitted_equations
from eqflow.report.gallery import draw, films
from eqflow.report.html import write_page
from eqflow.report.scene import Scene
from eqflow.report.style import STYLE, number
from eqflow.report.verdict import NOISE, crossed, levels, table, verdict
from eqflow.runtime import replacing
from eqflow.simulate import Integrator


@torch.no_grad()
def write_report(
    folder: Path,
    config: Mapping[str, Any],
    metrics: Numbers,
    history: History,
    model: FlowModel,
    fields: Mapping[str, VelocityField],
    snapshots: Snapshots,
    integrator: Integrator,
    findings: Mapping[str, Findings] | None = None,
) -> list[Path]:
    """Write ``figures/*`` and ``report.html`` into ``folder``; returns the paths of the figures.

    ``config`` is the resolved one, ``metrics`` those of ``metrics.json``, ``fields`` the evaluated
    fields and ``findings`` those of libraries by the prefix of their measures, "" the run's own.
    What was not measured is left out.
    """
    run = entries(config, metrics, fields, findings or {})
    with rc_context(STYLE):
        scene = Scene(config, model, snapshots, integrator)
        figures = draw(run, history, scene)
        paths = {name: _save(figure, folder, name) for name, figure in figures.items()}
    moving = films(run, scene, folder / "figures")
    headings, rows = table(run, model.field.dim)
    times = {n.removeprefix("time/"): v for n, v in metrics.items() if n.startswith("time/")}
    write_page(
        folder / "report.html",
        "page.html.j2",
        run=run,
        config=config,
        snapshots=snapshots,
        levels=list(levels(run)),
        fitted=fitted_equations(run),
        verdict=verdict(run),
        noise=NOISE,
        headings=headings,
        rows=rows,
        seconds=", ".join(f"{n.removesuffix('_s')} {number(v)}" for n, v in times.items()),
        chaos=chaos.table(run),
        crossed=crossed(run),
        pictures={name: _embedded(path) for name, path in paths.items()},
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
