"""Do 95 % intervals of coefficients hold the truth, after the terms were selected?

    python benchmarks/intervals.py --sizes 1000 3000 8000 --repeats 50

Independent states of Lorenz-63, quadratic library. For each size: the share of the seven true
coefficients that lie in their intervals (a term that was left out by its own interval, which is
zero unless the bootstrap doubts it), the share of samples with exactly the true terms, how many
were called determined, the least |cos| among these, seconds. Repeat ``k`` has seed ``k``.
"""

import time
from argparse import Namespace
from typing import NamedTuple

import harness
import torch

from eqflow.data import Standardiser
from eqflow.discovery import Discovery
from eqflow.fields import Library
from eqflow.systems import Lorenz63

TRUTH = {
    **{("x", 0): -10.0, ("y", 0): 10.0, ("x", 1): 28.0, ("y", 1): -1.0, ("x z", 1): -1.0},
    **{("z", 2): -8 / 3, ("x y", 2): 1.0},
}
"""Term and equation -> coefficient."""


class Row(NamedTuple):
    """What one sample gave."""

    covered: float
    exact: bool
    determined: bool
    cosine: float
    seconds: float


def fitted(size: int, seed: int) -> Row:
    """Fit one sample and compare with the truth at matched speed."""
    system, field = Lorenz63(), Library((3,), degree=2)
    x = system.sample(size, seed=seed, runs=size).states
    units = Standardiser.of(x)
    fit = Discovery(field, units.standard(x), units, seed=seed)
    findings, seconds = harness.timed(fit.run, time.perf_counter)
    v, w = system.velocity(x) / units.std, field(units.standard(x))
    names, speed = field.terms.names(["x", "y", "z"]), (v * w).sum() / v.square().sum()
    places = {(names.index(term), j): float(speed) * c for (term, j), c in TRUTH.items()}
    kept = {(a, j) for a, j in field.coefficients.nonzero().tolist()}
    held = [findings.low[a][j] <= c <= findings.high[a][j] for (a, j), c in places.items()]
    cosine = float((v * w).sum() / (v.norm() * w.norm()))
    return Row(sum(held) / 7, kept == set(places), not findings.reason, cosine, seconds)


def main(asked: Namespace) -> None:
    torch.set_num_threads(1)
    print(
        "| snapshots | covered | exact | determined | least cosine | s |\n|---|---|---|---|---|---|"
    )
    for size in asked.sizes:
        rows = [fitted(size, seed) for seed in range(asked.repeats)]
        covered, exact, determined = (sum(row[k] for row in rows) / len(rows) for k in range(3))
        least = min((row.cosine for row in rows if row.determined), default=float("nan"))
        seconds = sum(row.seconds for row in rows) / len(rows)
        print(
            f"| {size} | {covered:.3f} | {exact:.2f} | {determined:.2f} | {least:.5f} "
            f"| {seconds:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(harness.options(__doc__, sizes=[1000, 3000, 8000, 24_000], repeats=50))
