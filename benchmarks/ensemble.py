"""Many networks at once against one after the other, on Lorenz-63.

    python benchmarks/ensemble.py                      # steps: ratio of rates, one thread
    python benchmarks/ensemble.py --device cuda
    python benchmarks/ensemble.py --chaos --jsonl rows.jsonl   # which learned networks are chaotic

Steps: `--members` members of `flow=network` in the strong form, by width and batch; after a
warm-up, `--rounds` rounds of the two ways alternate, the ratio is the median over rounds.

Chaos: that many members by condition and noise level, trained by `--steps` steps at the other
defaults (seed 0, 50,000 snapshots), and as many random stream fields and random skew maps, which
need no training. Lyapunov exponents per transit time of 4 trajectories a member over 100 transit
times: mean and spread over members of the exponent, the share that is chaotic (mean over its
trajectories above what a shear reads by three errors), the sum of exponents, the share of
trajectories that left the data, |cos| to the truth; the true system at the end. `--jsonl` keeps the
rows, and goes on from them.
"""

from functools import partial
from pathlib import Path
from statistics import median

import harness
import torch
from harness import Loop

from data_modules import Lorenz
from eqflow.data import Snapshots
from eqflow.evaluation import (
    Protocol,
    Reference,
    member_chaos,
    true_chaos,
)
from eqflow.evaluation.members import mean_and_spread
from eqflow.evaluation.similarity import similarity
from eqflow.fields import Ensemble, build_field
from eqflow.score import MLPScore, Score
from eqflow.simulate import RK4
from eqflow.training import Batch, flow_module

SIGMA = 0.2
SETTINGS = [(512, 64), (64, 64), (512, 16), (64, 16)]  # batch and width
TRAJECTORIES = 4
COLUMNS = {
    "exponent": "chaos/lyapunov_max",
    "chaotic": "chaos/chaotic",
    "sum": "chaos/lyapunov_sum",
    "left": "chaos/escaped",
    "cos": "truth/cos",
}
KINDS = {
    **{f"network, strong, {s:g}": ("network", s, {"sigma": s}) for s in (0.1, 0.2, 0.4)},
    "network, weak": ("network", 0.0, {"condition": "weak"}),
    **{f"{family}, random, {SIGMA:g}": (family, SIGMA, {}) for family in ("stream", "skew")},
}
"""Name of a kind of field -> its family, the noise level at which it lives, how it is trained."""


# steps


def ratio(members: int, batch: int, width: int, device: str, rounds: int) -> tuple[float, float]:
    """Time of the members one after the other over that together; seconds of a joint step."""
    score = MLPScore((3,)).to(device).requires_grad_(False)
    states = torch.randn(batch, 3, device=device)
    build = partial(build_field, "network", (3,), score, SIGMA, width=width)
    fields = [build(seed=seed).to(device) for seed in range(members)]
    alone = Loop(flow_module(fields[0], score, states, SIGMA))
    together = Loop(flow_module(Ensemble(fields), score, states, SIGMA))

    def single(batch: Batch) -> None:
        alone.module.field.requires_grad_(True)
        alone(batch)
        alone.module.field.requires_grad_(False)

    ways = [partial(way, Batch(states, batch)) for way in (single, together)]
    laps = harness.in_turn(ways, rounds, calls=(members, 2))
    return median(members * a / b for a, b in laps), median(b for _, b in laps)


def steps(members: int, device: str, rounds: int) -> None:
    """Print a row a batch and width."""
    harness.heading("batch", "width", "alone / together", "s a joint step")
    for batch, width in SETTINGS:
        gain, seconds = ratio(members, batch, width, device, rounds)
        harness.row(batch, width, f"{gain:.2f}", f"{seconds:.3f}")


# chaos


def which_are_chaotic(members: int, steps: int, path: Path | None) -> None:
    """Print a row a kind of field, and the true system."""
    snapshots = harness.prepared(Lorenz(seed=0))
    score = harness.trained_score(snapshots.train)
    done = {row["name"]: row for row in harness.read_rows(path)}
    harness.heading("field", *COLUMNS, "CPU s a member")
    for name in KINDS:
        row = done.get(name) or measured(name, snapshots, score, members, steps)
        harness.append_rows(path, [row] if name not in done else [])
        cells = [_cell(row, key) for key in COLUMNS.values()]
        harness.row(name, *cells, f"{row['seconds']:.1f}")
    truth = true_chaos(Reference(snapshots, 0.0, Protocol(chaos=1)), RK4())
    harness.row("true system", *(_cell(truth, f"truth/{key}") for key in COLUMNS.values()), "")


def measured(name: str, snapshots: Snapshots, score: Score, members: int, steps: int) -> dict:
    """A row: means and spreads over the members of a kind."""
    family, sigma, training = KINDS[name]
    level, shape, train = sigma or SIGMA, snapshots.shape, snapshots.train
    fields = Ensemble([build_field(family, shape, score, level, k) for k in range(members)])
    if training:
        make = partial(harness.trained_field, fields, score, train, steps=steps, **training)
    else:
        make = partial(harness.normalised, fields, train, sigma)
    fields, seconds = harness.timed(make)
    reference = Reference(snapshots, sigma, Protocol(chaos=TRAJECTORIES))
    rates = member_chaos(fields, reference, RK4())
    alike = [similarity(fields[k], reference) for k in range(members)]
    numbers = mean_and_spread([rate | cos for rate, cos in zip(rates, alike, strict=True)])
    spent = seconds / members if training else 0.0
    return {"name": name, "members": members, "steps": steps, **numbers, "seconds": spent}


def _cell(row: dict[str, float], key: str) -> str:
    if key not in row:
        return ""
    return f"{row[key]:.3f}" + (f" ± {row[f'{key}_std']:.3f}" if f"{key}_std" in row else "")


if __name__ == "__main__":
    chaotic = {"chaos": False, "steps": 500, "jsonl": Path}
    asked = harness.options(__doc__, members=64, rounds=3, device="cpu", **chaotic)
    if asked.chaos:
        which_are_chaotic(asked.members, asked.steps, asked.jsonl)
    else:
        steps(asked.members, asked.device, asked.rounds)
