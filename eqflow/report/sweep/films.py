"""The rules of a sweep side by side: films of its jobs, those under which objects live first."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, isfinite
from pathlib import Path
from urllib.parse import quote

from eqflow.evaluation import BOUNDS, broken
from eqflow.report.sweep.comparison import Comparison, Job
from eqflow.report.text import number, percent

BEHAVIOUR = "behaviour/"
"""What names of measures of a film begin with."""

EMBEDDED = "data:video/mp4;base64,"
"""What the address of a film in the page itself begins with."""

EMBEDDED_BYTES = 12 * 2**20
"""Bytes of all films together up to which they stand in the page itself; more are linked to."""


@dataclass(frozen=True)
class Rule:
    """A job whose objects were watched, and where its film is: a path, or a data URL."""

    job: Job
    film: str = ""

    @cached_property
    def numbers(self) -> Mapping[str, float]:
        """The measures of its film, without ``behaviour/``."""
        return behaviour(self.job)

    @property
    def line(self) -> str:
        """Its numbers in a line."""
        found = self.numbers
        parts = [
            f"displacement / noise {number(found.get('displacement_ratio'))}",
            f"density / data {number(found.get('density_ratio'))}",
            f"whole {percent(found.get('whole'))}",
            f"persistent {percent(found.get('persistent'))}",
            f"polar order {number(found.get('polar_order'), 2)} "
            f"(chance {number(found.get('polar_order_chance'), 2)})",
        ]
        return " · ".join(parts).replace(" %", "\N{NO-BREAK SPACE}%")

    @property
    def linked(self) -> bool:
        """Whether its film is a file beside the page."""
        return bool(self.film) and not self.film.startswith(EMBEDDED)

    @property
    def broken(self) -> str:
        """What is out of bounds, in words; empty where objects live."""
        return ", ".join(map(_out_of_bounds, broken(self.numbers)))


def rules(sweep: Comparison, folder: Path) -> list[Rule]:
    """The jobs whose objects were watched: those where they live first, each best first.

    Best is the sweep's metric where that is a measure of behaviour, else the ratio of
    displacements. Films are embedded where all together are small enough.
    """
    jobs = ordered(sweep)
    paths = {job.name: folder / job.name / job.film for job in jobs if job.film}
    embedded = sum(path.stat().st_size for path in paths.values()) <= EMBEDDED_BYTES
    return [Rule(job, _film(paths.get(job.name), folder, embedded)) for job in jobs]


def ordered(sweep: Comparison) -> list[Job]:
    """The jobs whose objects were watched, in the order of the page."""
    measure, larger = ordering(sweep)

    def place(job: Job) -> tuple[bool, float]:
        value = job.metrics.get(measure, float("nan"))
        best_first = -value if larger else value
        return bool(broken(behaviour(job))), best_first if isfinite(value) else inf

    return sorted((job for job in sweep.jobs if behaviour(job)), key=place)


def ordering(sweep: Comparison) -> tuple[str, bool]:
    """The measure that orders the films, and whether a larger one is better."""
    if (sweep.metric or "").startswith(BEHAVIOUR):
        return str(sweep.metric), sweep.maximise
    return f"{BEHAVIOUR}displacement_ratio", True


def behaviour(job: Job) -> dict[str, float]:
    """The measures of a job's film, without ``behaviour/``; empty where none was watched."""
    found = job.metrics.items()
    return {n.removeprefix(BEHAVIOUR): v for n, v in found if n.startswith(BEHAVIOUR)}


def living(jobs: Sequence[Job]) -> int | None:
    """Number of jobs under whose rule objects live; None where none were watched."""
    watched = [numbers for numbers in map(behaviour, jobs) if numbers]
    return sum(not broken(numbers) for numbers in watched) if watched else None


def _out_of_bounds(measure: str) -> str:
    low, high = BOUNDS[measure]
    least = number(low)
    expected = f"below {least}" if high == inf else f"not from {least} to {number(high)}"
    return f"{measure.replace('_', ' ')} {expected}"


def _film(path: Path | None, folder: Path, embedded: bool) -> str:
    if path is None:
        return ""
    if embedded:
        return EMBEDDED + b64encode(path.read_bytes()).decode()
    return quote(path.relative_to(folder).as_posix())
