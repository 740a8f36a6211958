"""Jobs of a sweep that differ by their seeds alone: mean and spread of their measures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from statistics import mean, stdev

from eqflow.report.sweep.comparison import Comparison, Job
from eqflow.report.sweep.films import living
from eqflow.report.text import number

SEEDS = ("seed", "protocol.seed")
"""Options by which jobs differ that repeat each other."""


@dataclass(frozen=True)
class Repeated:
    """Jobs that share all options but their seeds.

    Args:
        options: the options that vary in the sweep -> their values in these jobs.
        jobs: the jobs that were measured, two or more.
    """

    options: Mapping[str, str | None]
    jobs: Sequence[Job]

    @cached_property
    def living(self) -> int | None:
        """Number of jobs under whose rule objects live; None where none were watched."""
        return living(self.jobs)

    def cell(self, measure: str) -> str:
        """``mean ± standard deviation`` of a measure; with the number of jobs if some lack it."""
        found = [job.metrics.get(measure, float("nan")) for job in self.jobs]
        values = [value for value in found if isfinite(value)]
        if len(values) < 2:
            return number(values[0] if values else None)
        few = f" ({len(values)} jobs)" if len(values) < len(found) else ""
        return f"{number(mean(values))} ± {number(stdev(values), 2)}{few}"


def repeated(sweep: Comparison) -> list[Repeated]:
    """The measured jobs of a sweep, in sets of several that differ by seeds alone."""
    names = [name for name in sweep.varying if name not in SEEDS]
    if names == sweep.varying:
        return []
    sets: dict[tuple[str | None, ...], list[Job]] = {}
    for job in filter(lambda job: job.metrics, sweep.jobs):
        sets.setdefault(tuple(job.overrides.get(name) for name in names), []).append(job)
    return [
        Repeated(dict(zip(names, values, strict=True)), jobs)
        for values, jobs in sets.items()
        if len(jobs) > 1
    ]
