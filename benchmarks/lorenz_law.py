"""The law of Lorenz-63 from few, many and noisy snapshots: what of it is recovered?

    python benchmarks/lorenz_law.py                       # every row, seeds 0 to 3
    python benchmarks/lorenz_law.py --rows few --seeds 0 1 2 3 4 5 6 7 8 9

A row a case, through the public estimator: |cos| to the true velocity at 3,000 clean states of
other runs (median and range over seeds), how many seeds found exactly the seven true terms, the
largest relative error of their coefficients up to the common factor, the estimated size of the
noise, how many laws were called recovered, seconds. Noise is Gaussian, in standard deviations of
each feature.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from eqflow import EquilibriumFlow  # noqa: E402
from eqflow.fields import Library  # noqa: E402
from eqflow.systems import Lorenz63  # noqa: E402

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
    terms: int
    wrong: int
    error: float
    noise: float
    recovered: bool
    seconds: float


def found(case: Case, seed: int) -> Found:
    """Fit one case and compare it with the truth."""
    system = Lorenz63()
    clean = system.sample(case.snapshots, seed, runs=case.snapshots).states
    draw = torch.Generator().manual_seed(seed)
    noisy = clean + case.noise * clean.std(0) * torch.randn(clean.shape, generator=draw)
    started = time.perf_counter()
    training = {"noise_std": case.told}
    flow = EquilibriumFlow("library", seed=seed, flow_training=training).fit(noisy)
    seconds = time.perf_counter() - started
    x = system.sample(HELD_OUT, seed + 1000, runs=HELD_OUT).states
    v, w = flow.velocity(x) / x.std(0), system.velocity(x) / x.std(0)
    law = flow.stationarity()
    terms, wrong, error = coefficients(flow)
    return Found(
        cosine=float((v * w).sum() / (v.norm() * w.norm())),
        terms=terms,
        wrong=wrong,
        error=error,
        noise=law.noise_std,
        recovered=not law.reason,
        seconds=seconds,
    )


def coefficients(flow: EquilibriumFlow) -> tuple[int, int, float]:
    """Terms kept, terms that should not be or are missing, largest relative error of the others."""
    field = flow.model.field
    assert isinstance(field, Library)
    truth = true_coefficients(field)
    scale = (field.coefficients * truth).sum() / field.coefficients.square().sum()
    xi, kept = scale * field.coefficients, field.coefficients != 0
    both = kept & (truth != 0)
    error = ((xi - truth)[both] / truth[both]).abs().max()
    return int(kept.sum()), int((kept != (truth != 0)).sum()), float(error)


def true_coefficients(field: Library) -> Tensor:
    """The law of Lorenz-63 in the terms of a library."""
    names = field.terms.names(["x", "y", "z"])
    law = [{"x": -10, "y": 10}, {"x": 28, "y": -1, "x z": -1}, {"z": -8 / 3, "x y": 1}]
    return torch.tensor([[row.get(name, 0.0) for row in law] for name in names]).double()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        "| case | cosine, median | range | exactly the seven terms | largest error "
        "| noise found | recovered | s |\n|---|---|---|---|---|---|---|---|"
    )
    for name in options.rows:
        rows = [found(CASES[name], seed) for seed in options.seeds]
        cosines = torch.tensor([row.cosine for row in rows]).double()
        noise = [row.noise for row in rows]
        print(
            f"| {name} | {cosines.quantile(0.5):.5f} | {cosines.min():.5f} to {cosines.max():.5f} "
            f"| {sum(not row.wrong for row in rows)} of {len(rows)} "
            f"| {max(row.error for row in rows):.2%} | {min(noise):.4f} to {max(noise):.4f} "
            f"| {sum(row.recovered for row in rows)} of {len(rows)} "
            f"| {max(row.seconds for row in rows):.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
