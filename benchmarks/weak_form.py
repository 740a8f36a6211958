"""Time and memory of a library fit: against the number of snapshots, dimension and library size.

    python benchmarks/weak_form.py                      # a pass, and fits: table and picture
    python benchmarks/weak_form.py --stream 10000000    # a longer pass
    python benchmarks/weak_form.py --unknowns 168       # up to fits of that many

The pass streams batches of a pool of Lorenz states, one after the other, through the sums of a fit
and, in turn on the same batch, through the bare matrix products of these sums: no sines, no terms,
no memory allocated for the angles. A fit is the whole of it: the pass, degree by the test,
elimination, spectrum, bootstrap, orientation; selection alone is beside it. Each is measured in a
process of its own (Linux). A fit's memory is the peak of that process less its peak *before*: what
the imports and a fit of 200 states take.
"""

from collections.abc import Sequence
from functools import partial
from math import comb
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

import harness
import torch
from harness import lap
from matplotlib import rc_context
from torch import Tensor

from eqflow.data import Standardiser
from eqflow.discovery import Discovery, select
from eqflow.fields import FAMILIES, Library
from eqflow.report.style import STYLE, TRUTH, logarithmic, new_figure
from eqflow.runtime import replacing
from eqflow.stationarity import Sums
from eqflow.systems import Lorenz63

BATCH = 8192
POOL = 200_000
MIDDLE = 24_000
MEASURED = {"selection, s": ".1f", "whole fit, s": ".1f", "MiB": ".0f", "before": ".0f"}

Case = tuple[int, int, int | str]
"""Snapshots, dimension and degree of a fit."""

SERIES: dict[str, list[Case]] = {
    "snapshots": [(n, 3, "auto") for n in (1000, 3000, 10_000, 30_000, 100_000, 300_000, 10**6)],
    "dimension": [(MIDDLE, dim, 2) for dim in (3, 4, 5, 6)],
    "unknowns": [(MIDDLE, 3, degree) for degree in (2, 3, 4, 5)],
}
"""Fits along an axis of the picture; dimensions and degrees have the same numbers of unknowns."""


def unknowns(case: Case) -> int:
    """Unknowns of a library; one that the test chooses counts as small."""
    _, dim, degree = case
    return 0 if isinstance(degree, str) else dim * comb(dim + degree, dim)


class Row(NamedTuple):
    """What a fit took: seconds, and MiB beside those ``before`` it."""

    snapshots: int
    dimension: int
    degree: int | str
    unknowns: int
    selection: float
    whole: float
    memory: float
    before: float


def lorenz(n: int, dim: int = 3) -> Tensor:
    """Shuffled states of Lorenz-63, beside rotations of a Gaussian if ``dim`` is larger."""
    draw = torch.Generator().manual_seed(0)
    x = Lorenz63().sample(n, seed=0).states[torch.randperm(n, generator=draw)]
    return torch.cat([x, torch.randn(n, dim - 3, generator=draw, dtype=torch.double)], dim=1)


def discovery(x: Tensor, degree: int | str = "auto") -> tuple[Discovery, Tensor]:
    """The fit of a library to raw states, not yet run, and the standardised states."""
    units = Standardiser.of(x)
    z = units.standard(x)
    return Discovery(Library((x.shape[1],), degree), z, units), z


def peak() -> float:
    """Largest memory of this process so far, MiB; that of ``getrusage`` can be the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kib,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(kib) / 1024


# fits


def measure(n: int, dim: int, degree: int | str, threads: int) -> Row:
    """Fit once and measure."""
    torch.set_num_threads(threads)
    discovery(lorenz(200), 1)[0].run()  # imports
    before, x = peak(), lorenz(n, dim)
    seconds, memory = lap(partial(whole, x, degree)), peak() - before
    part, _ = discovery(x, degree)
    choose = partial(select, part._fitter(0.0), part.libraries)
    chosen, selection = harness.timed(choose, perf_counter)
    count = len(chosen[-1][1].minimum.xi)
    return Row(n, dim, degree, count, selection, seconds, memory, before)


def whole(x: Tensor, degree: int | str) -> None:
    """A fit as a run does it: sums of batches first."""
    fit, z = discovery(x, degree)
    parts = (fit.sums(part) for part in z[: fit.fitted].split(BATCH))
    fit.run(Sums(*map(sum, zip(*parts, strict=True))))


def middle(rows: Sequence[Row]) -> Row:
    """The medians of repeats of one fit."""
    return Row(*rows[0][:4], *map(median, list(zip(*rows, strict=True))[4:]))


# the pass


def stream(total: int, threads: int) -> str:
    """Pass over ``total`` snapshots; a sentence on time and memory."""
    torch.set_num_threads(threads)
    fit, z = discovery(lorenz(POOL), 2)
    pool = z.float()  # as a run holds them
    w, terms = fit.functions.frequencies.T, len(fit.field.terms)
    sums = (torch.zeros(w.shape[1], terms).double(), torch.zeros(terms, terms).double())
    angles = torch.empty(BATCH, w.shape[1], dtype=torch.double)

    def ours(batch: Tensor) -> None:
        for total, part in zip(sums, fit.sums(batch), strict=False):
            total += part

    def bare(z: Tensor, theta: Tensor) -> None:
        torch.mm(z, w, out=angles)
        angles.T @ theta, theta.T @ theta

    laps = []
    for step in range(-(-total // BATCH)):
        # the pool is no whole number of batches: every cycle starts at another state
        batch = pool[step * BATCH % (POOL - BATCH) :][:BATCH]
        exact = batch.double()
        calls = [partial(ours, batch), partial(bare, exact, fit.field.theta(exact))]
        order = 1 if step % 2 else -1  # who is first has the batch not yet in the cache
        laps.append([*map(lap, calls[::order])][::order])
        if step == 0:
            start = peak()
    ours_s, bare_s = torch.tensor(laps, dtype=torch.double).T
    shares = torch.tensor([0.05, 0.5, 0.95]).double()
    low, ratio, high = (bare_s / ours_s).quantile(shares).tolist()
    return (
        f"{len(laps) * BATCH} snapshots, {w.shape[1]} functions, {terms} terms: "
        f"{ours_s.sum():.1f} s, bare products {bare_s.sum():.1f} s, bare / ours {ratio:.2f} "
        f"[{low:.2f}, {high:.2f}]; peak {start:.0f} MiB after a batch, {peak():.0f} at the end"
    )


# the picture


def columns(rows: list[Row]) -> dict[str, list]:
    """Values of all rows by their names."""
    return {name: [getattr(row, name) for row in rows] for name in Row._fields}


def draw(path: Path, rows: dict[Case, Row]) -> None:
    """Time above memory, against each of the axes."""
    titles = {
        "snapshots": "3 dimensions, degree by the test",
        "dimension": f"{MIDDLE:,} snapshots, degree 2",
        "unknowns": f"{MIDDLE:,} snapshots, 3 dimensions, degree 2 and up",
    }
    with rc_context(STYLE), replacing(path) as temporary:
        figure = new_figure(10.5, 5.2)
        grid = figure.subplots(2, 3, sharex="col", sharey="row")
        for (time_axes, memory_axes), (axis, cases) in zip(grid.T, SERIES.items(), strict=True):
            shown = columns([rows[case] for case in cases if case in rows])
            x = shown[axis]
            time_axes.plot(
                x, shown["whole"], "o-", color=FAMILIES["library"].colour, label="whole fit"
            )
            time_axes.plot(x, shown["selection"], "s--", color=TRUTH, label="selection alone")
            memory_axes.plot(x, shown["memory"], "o-", color=FAMILIES["library"].colour)
            time_axes.set_title(titles[axis])
            scale = {"xscale": "log"} if axis == "snapshots" else {"xticks": x}
            memory_axes.set(xlabel=axis, **scale)
        measured = columns([*rows.values()])
        logarithmic(grid[0, 0], measured["whole"] + measured["selection"])
        logarithmic(grid[1, 0], measured["memory"])
        grid[0, 0].set_ylabel("seconds")
        grid[1, 0].set_ylabel("memory beside imports, MiB")
        grid[0, 0].legend(loc="lower right")
        figure.savefig(temporary, format="png")


if __name__ == "__main__":
    sizes = {"stream": 1_000_000, "unknowns": 105, "repeats": 1}
    asked = harness.options(__doc__, **sizes, threads=2, out=Path("outputs/weak_form"))
    with harness.processes(1, max_tasks_per_child=1) as alone:
        print(alone.submit(stream, asked.stream, asked.threads).result(), flush=True)
        print()
        harness.heading("N", "d", "degree", "unknowns", *MEASURED)
        rows = {}
        for case in dict.fromkeys(case for cases in SERIES.values() for case in cases):
            if unknowns(case) > asked.unknowns:
                continue
            repeats = [alone.submit(measure, *case, asked.threads) for _ in range(asked.repeats)]
            row = rows[case] = middle([repeat.result() for repeat in repeats])
            forms = zip(row[4:], MEASURED.values(), strict=True)
            harness.row(*row[:4], *(f"{value:{form}}" for value, form in forms))
    draw(asked.out / "weak_form.png", rows)
