"""A job of a sweep in plain values: what it was asked for and what came of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite

from eqflow.report.style import number

STATUSES = ("finished", "failed", "pruned", "unfinished")
"""How a job can have ended; unfinished ones still run, or were cut off."""


@dataclass(frozen=True)
class Job:
    """One job; ``name`` is that of its folder inside the sweep's.

    ``overrides`` are option -> value as they were written, ``metrics`` those of ``metrics.json``,
    ``error`` is the last line of what it failed with and ``opens`` the file in its folder that a
    reader should open: its report, or else its log. What is not there is empty.
    """

    name: str
    overrides: Mapping[str, str] = field(default_factory=dict)
    status: str = "unfinished"
    error: str = ""
    seconds: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    opens: str = ""


Row = Mapping[str, str | float | None]
"""Name of a column -> what a job has there."""


MEASURES = {
    "residual/relative": "relative residual",
    "stationarity/effect_size": "effect size",
    "preservation/mmd2_ratio": "MMD² / floor95",
    "preservation/escaped": "escaped",
    "truth/cos": "|cos| truth",
}
"""Measures that every sweep shows beside its metric -> their heading."""


LARGER = ("truth/cos",)
"""Measures of which a null's best is its largest."""


@dataclass(frozen=True)
class Comparison:
    """The jobs of a sweep, and the metric that says which is best, if one was measured."""

    jobs: Sequence[Job]
    metric: str | None
    maximise: bool = False

    @cached_property
    def counts(self) -> dict[str, int]:
        """How the jobs ended, without what did not happen."""
        found = Counter(job.status for job in self.jobs)
        return {status: found[status] for status in STATUSES if status in found}

    @cached_property
    def ranked(self) -> list[Job]:
        """The jobs with a finite metric, best first."""
        measured = [job for job in self.jobs if isfinite(self.value(job))]
        return sorted(measured, key=self.value, reverse=self.maximise)

    def value(self, job: Job) -> float:
        """A job's metric; not a number where it was not measured."""
        return job.metrics.get(self.metric or "", float("nan"))

    @cached_property
    def common(self) -> dict[str, str]:
        """Overrides that are the same for all jobs whose overrides can be read."""
        first, *others = [job.overrides for job in self.jobs if job.overrides] or [{}]
        return {n: v for n, v in first.items() if all(o.get(n) == v for o in others)}

    @cached_property
    def varying(self) -> list[str]:
        """Names of the other overrides, in the order in which jobs give them."""
        names = dict.fromkeys(name for job in self.jobs for name in job.overrides)
        return [name for name in names if name not in self.common]

    @cached_property
    def rows(self) -> dict[str, Row]:
        """Names of the jobs -> what the table shows of them."""
        return {job.name: self._row(job) for job in self.jobs}

    @cached_property
    def headings(self) -> dict[str, str]:
        """Columns -> their headings; measures that no job has are left out."""
        headings = {"job": "job", **{name: name for name in self.varying}, "status": "status"}
        for name in self._measures:
            headings |= {name: MEASURES.get(name, name), best_null(name): "best null"}
        headings["seconds"] = "seconds"
        rows = self.rows.values()
        return {n: h for n, h in headings.items() if any(row[n] is not None for row in rows)}

    @property
    def _measures(self) -> list[str]:
        """The metric first."""
        return list(dict.fromkeys(filter(None, (self.metric, *MEASURES))))

    def _row(self, job: Job) -> Row:
        row: dict[str, str | float | None] = {"job": job.name}
        row |= {name: job.overrides.get(name) for name in self.varying}
        row["status"] = job.status
        for name in self._measures:
            row |= {name: job.metrics.get(name), best_null(name): self._least_bad(job, name)}
        return row | {"seconds": job.seconds, "error": job.error}

    def _least_bad(self, job: Job, measure: str) -> float | None:
        """The best that a null of the job has of a measure."""
        nulls = [v for n, v in job.metrics.items() if _of_a_null(n) == measure and isfinite(v)]
        larger = self.maximise if measure == self.metric else measure in LARGER
        return (max if larger else min)(nulls, default=None)

    @cached_property
    def failures(self) -> dict[str, list[Job]]:
        """Last lines of errors -> the jobs that failed so, the most frequent first."""
        found: dict[str, list[Job]] = {}
        for job in self.jobs:
            if job.status == "failed":
                found.setdefault(job.error or "no error was written down", []).append(job)
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))

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
        null = self._least_bad(best, self.metric or "")
        beside = "" if null is None else f"; the best null there has {number(null)}"
        asked = ", ".join(f"{n}={best.overrides[n]}" for n in self.varying if n in best.overrides)
        given = f" ({asked})" if asked else ""
        most = "largest" if self.maximise else "least"
        value = number(self.value(best))
        return f"The {most} {self.metric} is {value}, of job {best.name}{given}{beside}."


def best_null(measure: str) -> str:
    """Name of the column with what the best null has of a measure."""
    return f"null/best/{measure}"


def _of_a_null(name: str) -> str:
    """The measure that is taken of a null; empty for others."""
    return name.split("/", 2)[2] if name.startswith("null/") else ""
