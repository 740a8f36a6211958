"""The report of a sweep: a page of all its jobs, and the same table as JSON and CSV."""

import csv
import shlex
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

from eqflow.report.html import write_page
from eqflow.report.sweep.comparison import Comparison
from eqflow.report.sweep.films import ordering, rules
from eqflow.report.sweep.plots import RANKED_TRIALS, importances, parallel_coordinates, png
from eqflow.report.sweep.seeds import repeated
from eqflow.report.sweep.study import study_of
from eqflow.runtime import replacing, write_json

BEST_JOBS = 5
"""Number of the best jobs that are listed before all jobs."""


def write_sweep(
    folder: Path, sweep: Comparison, pictures: Mapping[str, bytes] | None = None
) -> None:
    """Write ``report.html``, ``sweep.json`` and ``sweep.csv`` into ``folder``.

    Args:
        folder: folder of the sweep; the page links to files in the folders of its jobs.
        sweep: the jobs, ranked by the metric.
        pictures: caption -> PNG image, shown besides.
    """
    best = [job.name for job in sweep.ranked[:BEST_JOBS]]
    _write_json(folder / "sweep.json", sweep, best)
    _write_csv(folder / "sweep.csv", sweep)
    images, study = dict(pictures or {}), study_of(sweep)
    lines = parallel_coordinates(study)
    drawn = any(name.startswith("importances") for name in images)  # by the search itself
    if len(study.trials) >= RANKED_TRIALS and len(sweep.varying) > 1 and not drawn:
        images["importances of the options"] = png(importances(study))
    write_page(
        folder / "report.html",
        "sweep.html.j2",
        title=" ".join(folder.resolve().parts[-2:]),  # its name and its date
        sweep=sweep,
        shown=len(best),
        rules=rules(sweep, folder),
        films_by=ordering(sweep),
        repeated=repeated(sweep),
        again=shlex.quote(f"best={folder}"),
        lines=_encoded(png(lines)) if lines else "",
        pictures={name: _encoded(image) for name, image in images.items()},
    )


def _encoded(image: bytes) -> str:
    return b64encode(image).decode()


def _write_json(path: Path, sweep: Comparison, best: list[str]) -> None:
    summary = {
        "metric": sweep.metric,
        "direction": "maximise" if sweep.maximise else "minimise",
        "best": best,
        "counts": sweep.counts,
        "overrides": sweep.common,
    }
    rows = [{**sweep.rows[job.name], "metrics": dict(job.metrics)} for job in sweep.jobs]
    write_json(path, {"summary": summary, "jobs": rows})


def _write_csv(path: Path, sweep: Comparison) -> None:
    names = [*sweep.headings, "error"]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, names, extrasaction="ignore")
        table.writeheader()
        table.writerows(sweep.rows.values())
