"""Jobs of a sweep in plain values, and their comparison by a metric."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite

from eqflow.report.text import number

STATUSES = ("finished", "failed", "pruned", "unfinished")
"""How a job can have ended; unfinished jobs still run, or were cut off."""


@dataclass(frozen=True)
class Job:
    """A job of a sweep: its options and its outcome. What is not there is empty.

    Args:
        name: name of its folder inside the sweep's.
        overrides: option -> value, as they were written.
        status: one of ``STATUSES``.
        error: last line of the error that it failed with.
        seconds: how long it took.
        metrics: name -> number, as in ``metrics.json``.
        opens: file in its folder to open first, its report or else its log.
        film: film in its folder.
    """

    name: str
    overrides: Mapping[str, str] = field(default_factory=dict)
    status: str = "unfinished"
    error: str = ""
    seconds: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    opens: str = ""
    film: str = ""


Row = Mapping[str, str | float | None]
"""Column -> what a job has there."""


SWEEP_MEASURES = {
    "residual/relative": "relative residual",
    "stationarity/effect_size": "effect size",
    "preservation/mmd2_ratio": "MMD² / floor95",
    "preservation/escaped": "escaped",
    "truth/cos": "|cos| truth",
}
"""Measures shown of every sweep beside its metric -> their headings."""


BEHAVIOUR_MEASURES = {
    "behaviour/displacement_ratio": "displacement / noise",
    "behaviour/density_ratio": "density / data",
    "behaviour/whole": "whole",
    "behaviour/persistent": "persistent",
    "behaviour/polar_order": "polar order",
    "behaviour/polar_order_chance": "chance",
}
"""Further measures, of objects that were watched; none is the better the larger, or smaller."""


HEADINGS = SWEEP_MEASURES | BEHAVIOUR_MEASURES
"""All measures that are shown where jobs have them -> their headings."""


LARGER_IS_BETTER = ("truth/cos",)
"""Measures of which the best null has the largest value."""


@dataclass(frozen=True)
class Comparison:
    """The jobs of a sweep, ranked by a metric.

    Args:
        jobs: the jobs in their order.
        metric: measure that ranks them; None if nothing was measured.
        maximise: whether a larger metric is better.
    """

    jobs: Sequence[Job]
    metric: str | None
    maximise: bool = False

    @cached_property
    def counts(self) -> dict[str, int]:
        """Status -> number of jobs, for statuses that occur."""
        counts = Counter(job.status for job in self.jobs)
        return {status: counts[status] for status in STATUSES if status in counts}

    @cached_property
    def ranked(self) -> list[Job]:
        """The jobs with a finite metric, best first."""
        measured = [job for job in self.jobs if isfinite(self.value(job))]
        return sorted(measured, key=self.value, reverse=self.maximise)

    def value(self, job: Job) -> float:
        """The metric of a job; NaN where it was not measured."""
        return job.metrics.get(self.metric or "", float("nan"))

    @cached_property
    def common(self) -> dict[str, str]:
        """Overrides that are the same in all jobs whose overrides can be read."""
        first, *others = [job.overrides for job in self.jobs if job.overrides] or [{}]
        return {n: v for n, v in first.items() if all(o.get(n) == v for o in others)}

    @cached_property
    def varying(self) -> list[str]:
        """Names of the other overrides, in the order in which jobs give them."""
        names = dict.fromkeys(name for job in self.jobs for name in job.overrides)
        return [name for name in names if name not in self.common]

    @cached_property
    def rows(self) -> dict[str, Row]:
        """Name of a job -> its row of the table."""
        return {job.name: self._row(job) for job in self.jobs}

    @cached_property
    def headings(self) -> dict[str, str]:
        """Column -> its heading; columns that are empty for all jobs are left out."""
        headings = {"job": "job", **{name: name for name in self.varying}, "status": "status"}
        for name in self.measures:
            headings |= {name: HEADINGS.get(name, name), best_null(name): "best null"}
        headings["seconds"] = "seconds"
        rows = self.rows.values()
        return {n: h for n, h in headings.items() if any(row[n] is not None for row in rows)}

    @property
    def measures(self) -> list[str]:
        """The measures that are shown, the metric first."""
        return list(dict.fromkeys(filter(None, (self.metric, *HEADINGS))))

    def _row(self, job: Job) -> Row:
        row: dict[str, str | float | None] = {"job": job.name}
        row |= {name: job.overrides.get(name) for name in self.varying}
        row["status"] = job.status
        for name in self.measures:
            row |= {name: job.metrics.get(name), best_null(name): self._best_null(job, name)}
        return row | {"seconds": job.seconds, "error": job.error}

    def _best_null(self, job: Job, measure: str) -> float | None:
        """The best value of a measure among the nulls of a job, if one is better than another."""
        if measure in BEHAVIOUR_MEASURES and measure != self.metric:
            return None
        names = (name for name in job.metrics if name.startswith("null/"))
        values = [job.metrics[name] for name in names if name.split("/", 2)[-1] == measure]
        larger = self.maximise if measure == self.metric else measure in LARGER_IS_BETTER
        return (max if larger else min)(filter(isfinite, values), default=None)

    @cached_property
    def failures(self) -> dict[str, list[Job]]:
        """Last line of an error -> the jobs that failed with it, the most frequent first."""
        failures: dict[str, list[Job]] = {}
        for job in self.jobs:
            if job.status == "failed":
                failures.setdefault(job.error or "no error was written down", []).append(job)
        return dict(sorted(failures.items(), key=lambda item: -len(item[1])))

    @property
    def headline(self) -> str:
        """How the jobs ended, and the best value of the metric."""
        ended = ", ".join(f"{count} {status}" for status, count in self.counts.items())
        return f"{len(self.jobs)} jobs: {ended}. {self._best}"

    @property
    def _best(self) -> str:
        if not self.ranked:
            return f"No job has measured {self.metric or 'a metric'}."
        best = self.ranked[0]
        null = self._best_null(best, self.metric or "")
        beside = "" if null is None else f"; the best null there has {number(null)}"
        given = ", ".join(f"{n}={best.overrides[n]}" for n in self.varying if n in best.overrides)
        options = f" ({given})" if given else ""
        most = "largest" if self.maximise else "least"
        value = number(self.value(best))
        return f"The {most} {self.metric} is {value}, of job {best.name}{options}{beside}."


def best_null(measure: str) -> str:
    """Name of the column with the best value of a measure among the nulls."""
    return f"null/best/{measure}"
