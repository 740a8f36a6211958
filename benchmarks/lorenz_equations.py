"""The equations of Lorenz-63 from few, many and noisy snapshots: what of them is found?

    python benchmarks/lorenz_equations.py                       # every row, seeds 0 to 3
    python benchmarks/lorenz_equations.py --rows few --seeds 0 1 2 3 4 5 6 7 8 9

A row a case, through the public estimator: |cos| to the true velocity at 3,000 clean states of
other runs (median and range over seeds), how many seeds found exactly the seven true terms, the
largest relative error of their coefficients up to the common factor, the estimated size of the
noise, how many equations were called determined, seconds. Noise is Gaussian, in standard deviations
of each feature.
"""

import time
from functools import partial
from statistics import median
from typing import NamedTuple

import harness
import torch
from torch import Tensor

from eqflow.estimator import EquilibriumFlow
from eqflow.fields import Library
from eqflow.systems import Lorenz63

HELD_OUT = 3000


class Case(NamedTuple):
    """Snapshots, the noise on them, and what the fit is told of it (None: nothing)."""

    snapshots: int
    noise: float = 0.0
    told: float | None = 0.0


CASES = {
    "clean": Case(24_000),
    "few": Case(1000),
    **{f"known {s:.0%}": Case(24_000, s, s) for s in (0.03, 0.1, 0.2)},
    **{f"ignored {s:.0%}": Case(24_000, s, 0.0) for s in (0.03, 0.1, 0.2)},
    "estimated 10%": Case(24_000, 0.1, None),
}


class Found(NamedTuple):
    """What a fit gives."""

    cosine: float
    noise: float
    determined: bool
    seconds: float
    wrong: int
    error: float


def fitted(case: Case, seed: int) -> Found:
    """Fit one case and compare it with the truth."""
    system = Lorenz63()
    clean = system.sample(case.snapshots, seed, runs=case.snapshots).states
    draw = torch.Generator().manual_seed(seed)
    noisy = clean + case.noise * clean.std(0) * torch.randn(clean.shape, generator=draw)
    estimator = EquilibriumFlow("library", seed=seed, flow_training={"noise_std": case.told})
    flow, seconds = harness.timed(partial(estimator.fit, noisy), time.perf_counter)
    x = system.sample(HELD_OUT, seed + 1000, runs=HELD_OUT).states
    cosine = harness.cosine(flow.velocity(x) / x.std(0), system.velocity(x) / x.std(0))
    findings = flow.stationarity()
    wrong, error = wrong_terms(flow.model.field)
    return Found(cosine, findings.noise_std, not findings.reason, seconds, wrong, error)


def wrong_terms(field: Library) -> tuple[int, float]:
    """How many terms are there or missing by mistake, and the largest relative error of others."""
    truth = true_coefficients(field)
    scale = (field.coefficients * truth).sum() / field.coefficients.square().sum()
    xi, kept = scale * field.coefficients, field.coefficients != 0
    both = kept & (truth != 0)
    error = ((xi - truth)[both] / truth[both]).abs().max()
    return int((kept != (truth != 0)).sum()), float(error)


def true_coefficients(field: Library) -> Tensor:
    """The equations of Lorenz-63 in the terms of a library."""
    names = field.terms.names(["x", "y", "z"])
    true = [{"x": -10, "y": 10}, {"x": 28, "y": -1, "x z": -1}, {"z": -8 / 3, "x y": 1}]
    return torch.tensor([[row.get(name, 0.0) for row in true] for name in names]).double()


if __name__ == "__main__":
    asked = harness.options(__doc__, rows=harness.Names(CASES), seeds=[0, 1, 2, 3], threads=2)
    harness.heading(
        *("case", "cosine, median", "range", "exactly the seven terms"),
        *("largest error", "noise found", "determined", "s"),
    )
    for name in asked.rows:
        fits = [fitted(CASES[name], seed) for seed in asked.seeds]
        cosine, noise, determined, seconds, wrong, error = zip(*fits, strict=True)
        harness.row(
            name,
            f"{median(cosine):.5f}",
            f"{min(cosine):.5f} to {max(cosine):.5f}",
            f"{wrong.count(0)} of {len(fits)}",
            f"{max(error):.2%}",
            f"{min(noise):.4f} to {max(noise):.4f}",
            f"{sum(determined)} of {len(fits)}",
            f"{max(seconds):.0f}",
        )
