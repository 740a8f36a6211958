"""The report of a sweep: one page of all its jobs, and the same table for programs."""

import csv
from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

from matplotlib import rc_context

from eqflow.report.html import write_page
from eqflow.report.style import STYLE
from eqflow.report.sweep.comparison import Comparison, Job
from eqflow.report.sweep.parallel import parallel
from eqflow.runtime import replacing, write_json

SHOWN = 5
"""How many of the best jobs are shown before all of them."""


def write_sweep(
    folder: Path,
    jobs: Sequence[Job],
    metric: str | None,
    *,
    maximise: bool = False,
    pictures: Mapping[str, bytes] | None = None,
) -> None:
    """Write ``report.html``, ``sweep.json`` and ``sweep.csv`` into ``folder``.

    ``metric`` is the measure that ranks the jobs, none if nothing was measured; ``pictures`` are
    more PNG images, by their captions. The page links to what is in the jobs' folders.
    """
    compared = Comparison(jobs, metric, maximise)
    _write_json(folder / "sweep.json", compared)
    _write_csv(folder / "sweep.csv", compared)
    drawn = {name: b64encode(png).decode() for name, png in (pictures or {}).items()}
    content = {"sweep": compared, "shown": SHOWN, "lines": _drawn(compared), "pictures": drawn}
    write_page(folder / "report.html", "sweep.html.j2", title=_title(folder), **content)


def _title(folder: Path) -> str:
    """Name and date, as the folder's path has them."""
    return " ".join(folder.resolve().parts[-2:])


def _drawn(compared: Comparison) -> str:
    """The parallel coordinates, encoded; empty if there is nothing to compare."""
    with rc_context(STYLE):
        if not (figure := parallel(compared)):
            return ""
        figure.savefig(png := BytesIO(), format="png")
    return b64encode(png.getvalue()).decode()


def _write_json(path: Path, compared: Comparison) -> None:
    best = [job.name for job in compared.ranked[:SHOWN]]
    direction = "maximise" if compared.maximise else "minimise"
    summary = {
        "metric": compared.metric,
        "direction": direction,
        "best": best,
        "counts": compared.counts,
        "overrides": compared.common,
    }
    rows = [{**compared.rows[job.name], "metrics": dict(job.metrics)} for job in compared.jobs]
    write_json(path, {"summary": summary, "jobs": rows})


def _write_csv(path: Path, compared: Comparison) -> None:
    names = [*compared.headings, "error"]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, names, extrasaction="ignore")
        table.writeheader()
        table.writerows(compared.rows.values())
