"""The report of a sweep: one page of all its jobs, and the same table for programs."""

import csv
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from eqflow.report.html import write_page
from eqflow.report.sweep.comparison import Comparison, Job
from eqflow.report.sweep.plots import RANKED_TRIALS, importances, parallel_coordinates, png
from eqflow.report.sweep.study import study_of
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
    images = {name: _encoded(image) for name, image in (pictures or {}).items()}
    study = study_of(compared)
    lines = parallel_coordinates(study)
    drawn = any(name.startswith("importances") for name in images)  # by the search itself
    if len(study.trials) >= RANKED_TRIALS and len(compared.varying) > 1 and not drawn:
        images["importances"] = _encoded(png(importances(study)))
    content = {"sweep": compared, "shown": SHOWN, "pictures": images}
    content["lines"] = _encoded(png(lines)) if lines else ""
    write_page(folder / "report.html", "sweep.html.j2", title=_title(folder), **content)


def _title(folder: Path) -> str:
    """Name and date, as the folder's path has them."""
    return " ".join(folder.resolve().parts[-2:])


def _encoded(image: bytes) -> str:
    return b64encode(image).decode()


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
