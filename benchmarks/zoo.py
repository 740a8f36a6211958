"""Which systems of dysts in three dimensions snapshots alone determine.

    python benchmarks/zoo.py --workers 2 --out outputs/zoo

No option differs between systems. Every system: 24,000 snapshots (30 % of them, whole runs, held
out for the tests), 3,000 further states for ``|cos|`` to the true velocity. Equations that are
determined are simulated for ``--horizon`` transit times (0: they are not) from 200 of those states
and compared with as many others; where that looks wrong the true field is put to the same. ``of
the truth`` is the degree of the polynomial that the right-hand side is, if it is one. Finished
systems are read back from ``--out``, so that an interrupted run goes on; the leaderboard is written
at the end.
"""

import logging
import time
from functools import partial
from pathlib import Path
from typing import Any

import harness
import torch
from torch import Tensor

from data_modules import Dysts
from eqflow.data import Snapshots
from eqflow.discovery import Discovery
from eqflow.evaluation import Protocol, Reference, preservation
from eqflow.evaluation.residuals import stationarity
from eqflow.evaluation.similarity import similarity
from eqflow.fields import Library, VelocityField
from eqflow.report.sweep.leaderboard import table, write_leaderboard
from eqflow.score import EmpiricalScore
from eqflow.simulate import RK4
from eqflow.systems import names
from eqflow.terms import Polynomial

DOUBTFUL = 1.5
"""``MMD^2`` over its floor from which a simulated field no longer keeps the distribution."""

SWEPT_OUT = {"Sakarya", "SprottMore"}
"""Orbits that leak to infinity; a field that is not continuous."""


def recover(system: str, out: Path, seed: int, horizon: float) -> dict[str, Any] | None:
    """The row of a system, from its file if it is there."""
    torch.set_num_threads(1)
    logging.getLogger("eqflow").setLevel(logging.ERROR)
    return harness.kept(out / f"{system}.json", partial(fitted, system, seed, horizon))


def fitted(system: str, seed: int, horizon: float) -> dict[str, Any]:
    """Sample a system, fit it and compare with the truth."""
    data = Dysts(system, seed=seed, test=3000)
    data.setup()
    row = {"system": system, "true_degree": true_degree(data)}
    row |= measured(data.snapshots, seed, horizon)
    print(f"{system}: |cos| {row['cos']:.5f} {row['reason'] or 'determined'}", flush=True)
    return row


@torch.no_grad()
def measured(snapshots: Snapshots, seed: int, horizon: float) -> dict[str, Any]:
    """A row of the leaderboard."""
    field = Library(snapshots.shape)
    reference = Reference(snapshots, 0.0, Protocol(seed=seed))
    data = (snapshots.train, snapshots.standardiser, snapshots.train_groups)
    fit = Discovery(field, *data, seed=seed)
    findings, seconds = harness.timed(fit.run, time.perf_counter)
    numbers = similarity(field, reference) | findings.numbers()
    truth = stationarity(snapshots.velocity, reference)
    own = ("degree", "gap", "dimension", "p_value", "direction", "escaped", "divergence")
    own += ("divergence_error", "degrees", "reason")
    row = {name: getattr(findings, name) for name in own} | {
        "cos": numbers["truth/cos"],
        "cos_min": numbers["truth/cos_min"],
        "cos_signed": numbers["truth/cos_signed"],
        "terms": numbers["selection/terms"],
        "truth_p_value": truth["stationarity/p_value"],
        "oriented": int(findings.oriented),
        "spectrum": findings.spectrum[:5],
        "seconds": seconds,
    }
    if horizon and (findings.escaped or not findings.reason):
        row |= kept(field, snapshots, horizon, seed)
        if row["escaped_later"] or row["mmd2_ratio"] > DOUBTFUL:
            truth = kept(Truth(snapshots), snapshots, horizon, seed)
            row |= {f"true_{name}": value for name, value in truth.items()}
    return row


class Truth(VelocityField):
    """The true velocity, normalised to one transit time."""

    centred = False

    def __init__(self, snapshots: Snapshots) -> None:
        super().__init__(snapshots.shape)
        self.velocity = snapshots.velocity
        self.normalise_([snapshots.train])

    def unscaled(self, x: Tensor) -> Tensor:
        return self.velocity(x)


def kept(field: VelocityField, snapshots: Snapshots, horizon: float, seed: int) -> dict[str, float]:
    """How a field alone keeps the attractor for ``horizon`` transit times."""
    protocol = Protocol((horizon,), starts=200, transport=False, seed=seed)
    score = EmpiricalScore(snapshots.train)  # not asked for: there is no noise
    numbers = preservation(field, score, Reference(snapshots, 0.0, protocol), RK4(0.02))
    return {
        "escaped_later": numbers["preservation/escaped"],
        "mmd2_ratio": numbers["preservation/mmd2_ratio"],
    }


def true_degree(data: Dysts) -> int | None:
    """The least degree of a polynomial that equals the right-hand side, also off the attractor."""
    units = data.snapshots.standardiser
    draw = torch.Generator().manual_seed(0)
    z = 0.8 * torch.randn(3000, *data.shape, generator=draw, dtype=torch.double)
    v = data.velocity(units.raw(z))
    z, v = z[v.isfinite().all(1)], v[v.isfinite().all(1)]
    v = v / v.square().mean(0).sqrt()
    for degree in (1, 2, 3, 4):
        theta = Polynomial(z.shape[1], degree)(z)
        if (theta @ torch.linalg.lstsq(theta, v).solution - v).square().mean().sqrt() < 1e-8:
            return degree
    return None


if __name__ == "__main__":
    fits = {"seed": 0, "horizon": 0.0, "systems": [str]}
    asked = harness.options(__doc__, out=Path("outputs/zoo"), workers=1, **fits)
    systems = asked.systems or [name for name in names(3) if name not in SWEPT_OUT]
    job = partial(recover, out=asked.out, seed=asked.seed, horizon=asked.horizon)
    with harness.processes(asked.workers) as pool:
        rows = [row for row in pool.map(job, systems) if row]
    write_leaderboard(asked.out, rows)
    print(table(rows))
