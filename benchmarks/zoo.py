"""Which laws of the three-dimensional systems of dysts a library recovers from snapshots alone.

    python benchmarks/zoo.py --workers 2 --out outputs/zoo

No option differs between systems. Every system: 24,000 snapshots (30 % of them, whole runs, held
out for the tests), 3,000 further states for ``|cos|`` to the true velocity. A recovered field is
also simulated for ``--horizon`` transit times from 200 of those states and compared with as many
others; where that looks wrong the true field is put to the same. ``of the truth`` is the degree of
the polynomial that the right-hand side is, if it is one. Finished systems are read back from
``--out``, so that an interrupted run goes on; the leaderboard is written at the end.
"""

import argparse
import json
import logging
import os
import sys
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from data_modules import Dysts  # noqa: E402
from eqflow.discovery import Discovery  # noqa: E402
from eqflow.errors import InputError  # noqa: E402
from eqflow.evaluation import Protocol, preservation, similarity, stationarity  # noqa: E402
from eqflow.fields import Library, VelocityField  # noqa: E402
from eqflow.report.leaderboard import table, write_leaderboard  # noqa: E402
from eqflow.score import EmpiricalScore  # noqa: E402
from eqflow.simulate import RK4  # noqa: E402
from eqflow.snapshots import Snapshots  # noqa: E402
from eqflow.store import write_json  # noqa: E402
from eqflow.systems.dysts import names  # noqa: E402
from eqflow.terms import Polynomial  # noqa: E402

DOUBTFUL = 1.5
"""``MMD^2`` over its floor from which a simulated law no longer looks like its data."""

SWEPT_OUT = {"Sakarya", "SprottMore"}
"""Orbits that leak to infinity; a field that is not continuous."""


def recover(system: str, out: Path, seed: int, horizon: float) -> None:
    """Sample a system, fit it and write its row."""
    torch.set_num_threads(1)
    logging.getLogger("eqflow").setLevel(logging.ERROR)
    path = out / f"{system}.json"
    if path.is_file():
        return
    try:
        data = Dysts(system, seed=seed, test=3000)
        data.setup()
    except InputError as error:
        print(f"{system}: {error}", flush=True)
        return
    row = {"system": system, "true_degree": true_degree(data)}
    row |= measured(data.snapshots, seed, horizon)
    write_json(path, row)
    print(f"{system}: |cos| {row['cos']:.5f} {row['reason'] or 'recovered'}", flush=True)


@torch.no_grad()
def add_measurement_noise(snapshots: Snapshots, seed: int, horizon: float) -> dict[str, Any]:
    """A row of the leaderboard."""
    field, protocol = Library(snapshots.shape), Protocol(seed=seed)
    started = time.perf_counter()
    data = (snapshots.train, snapshots.standardiser, snapshots.train_groups)
    findings = Discovery(field, *data, seed=seed).run()
    seconds = time.perf_counter() - started
    numbers = similarity(field, snapshots, 0.0, protocol) | findings.numbers()
    tests = stationarity(field, snapshots, 0.0, protocol)
    row = {
        "cos": numbers["truth/cos"],
        "cos_signed": numbers["truth/cos_signed"],
        "degree": findings.degree,
        "terms": numbers["selection/terms"],
        "gap": findings.gap,
        "dimension": findings.dimension,
        "p_value": findings.p_value,
        "truth_p_value": tests["truth/stationarity/p_value"],
        "direction": findings.direction,
        "escaped": findings.escaped,
        "oriented": int(findings.oriented),
        "divergence": findings.divergence,
        "divergence_error": findings.divergence_error,
        "spectrum": findings.spectrum[:5],
        "degrees": findings.degrees,
        "seconds": seconds,
        "reason": findings.reason,
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
        assert snapshots.velocity is not None
        self.velocity = snapshots.velocity
        self.normalise_([snapshots.train])

    def unscaled(self, x: Tensor) -> Tensor:
        return self.velocity(x)


def kept(field: VelocityField, snapshots: Snapshots, horizon: float, seed: int) -> dict[str, float]:
    """How a field alone keeps the attractor for ``horizon`` transit times."""
    protocol = Protocol((horizon,), starts=200, transport=False, seed=seed)
    score = EmpiricalScore(snapshots.train)  # not asked for: there is no noise
    numbers = preservation(field, score, snapshots, RK4(0.02), 0.0, protocol)
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


def main() -> None:
    """Run the zoo and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("outputs/zoo"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--horizon", type=float, default=0.0, help="transit times; 0: not simulated"
    )
    parser.add_argument("--systems", nargs="*")
    args = parser.parse_args()
    systems = args.systems or [name for name in names(3) if name not in SWEPT_OUT]
    args.out.mkdir(parents=True, exist_ok=True)
    job = partial(recover, out=args.out, seed=args.seed, horizon=args.horizon)
    with get_context("spawn").Pool(args.workers) as pool:
        for _ in pool.imap_unordered(job, systems):
            pass
    rows = [
        json.loads((args.out / f"{s}.json").read_text())
        for s in systems
        if (args.out / f"{s}.json").is_file()
    ]
    write_leaderboard(args.out, rows)
    print(table(rows))


if __name__ == "__main__":
    main()
