"""Candidates for the default field: do they keep the distribution, and what character have they?

    python benchmarks/exact.py --seeds 0 1 2 3 4 5 6 7 8 9 --out FOLDER
    python benchmarks/exact.py --candidates exact network --data lorenz

The seed draws the snapshots, the weights of the score and of the field. `exact` is the default: a
network of 1,000 steps and the stream field nearest to it; `exact_short` and `exact_long` have
networks of 300 and 3,000 steps, `network` is that of 3,000 as it is, `weak` that of the weak form.
`smooth` is the smoothest stream field, `random` one that is drawn.

MMD^2 over its floor of 1,000 states after 1, 10 and 100 transit times; the cosine of an exact field
to its network; the residual against its own score; on Lorenz the |cos| to the true velocity, the
exponents, and the Kaplan-Yorke dimension. Null: how many of 2,000 random halves of the held-out
states read more than 1.5 floors, which is how often a perfect field does.
"""

from functools import cache, partial
from itertools import product
from pathlib import Path
from statistics import median

import harness
import torch

from data_modules import Lorenz, Ring, TwoMoons, TwoPeaks
from eqflow.data import Snapshots, random_half
from eqflow.evaluation import Protocol, Reference, preservation
from eqflow.fields import ExactNetwork, VelocityField, build_exact, build_field
from eqflow.metrics import growth, kaplan_yorke, mmd2_splits
from eqflow.score import Score
from eqflow.simulate import RK4
from eqflow.stationarity import strong_moments
from eqflow.training import ProjectionModule

DATA = {"lorenz": Lorenz, "ring": Ring, "two_moons": TwoMoons, "two_peaks": TwoPeaks}
HORIZONS, SIGMA = (1.0, 10.0, 100.0), 0.2
TRAJECTORIES, SPLITS = 8, 2000
"""Trajectories whose exponents are measured, and random halves of the null."""

NETWORK_STEPS = {"exact": 1000, "exact_short": 300, "exact_long": 3000, "network": 3000}
CANDIDATES = (*NETWORK_STEPS, "weak", "smooth", "random")


@cache
def learned(name: str, seed: int) -> tuple[Snapshots, Score]:
    """Snapshots of a seed and the default score, trained on them once for all candidates."""
    snapshots = harness.prepared(DATA[name](seed=seed))
    return snapshots, harness.trained_score(snapshots.train, seed)


def made(candidate: str, snapshots: Snapshots, score: Score, seed: int) -> VelocityField:
    """The field of a candidate."""
    states = snapshots.train
    kind = "stream" if candidate in ("smooth", "random") else "network"
    field = build_field(kind, snapshots.shape, score, SIGMA, seed)
    if kind == "stream":
        principle = "smooth" if candidate == "smooth" else "none"
        return harness.trained_field(field, score, states, seed, principle=principle)
    if candidate == "weak":
        field.sigma = 0.0
        return harness.trained_field(field, score, states, seed, condition="weak")
    steps = NETWORK_STEPS[candidate]
    network = harness.trained_field(field, score, states, seed, steps=steps)
    if candidate == "network":
        return network
    exact = build_exact(network, score, SIGMA, seed)
    harness.fit(ProjectionModule(exact, seed=seed), states, seed)
    return harness.normalised(exact, states, SIGMA)


@torch.no_grad()
def measure(candidate: str, name: str, seed: int) -> dict:
    """A row of all measures."""
    snapshots, score = learned(name, seed)
    field, seconds = harness.timed(lambda: made(candidate, snapshots, score, seed))
    protocol = Protocol(horizons=HORIZONS, transport=False, seed=seed)
    reference = Reference(snapshots, field.sigma, protocol)
    numbers = preservation(field, None, reference, RK4())
    row = {"candidate": candidate, "data": name, "seed": seed, "seconds": seconds}
    row |= {"ratios": [numbers[f"preservation/mmd2_ratio_h{h:g}"] for h in HORIZONS]}
    x = reference.initial
    if field.sigma:
        r2, v2 = strong_moments(field, x, score(x, SIGMA))
        row["residual"] = (r2.mean() / v2.mean()).item()
    if isinstance(field, ExactNetwork):
        row["cos"] = harness.cosine(field(x), field.origin(x))
    if name == "lorenz":
        truth, _ = reference.true_velocities
        row["truth"] = abs(harness.cosine(field(x), truth))
        start = x[:: len(x) // TRAJECTORIES][:TRAJECTORIES]
        exponents = growth(field, start, 100.0, 20.0, 0.1, reference.radius).exponents
        row["exponents"] = exponents.nanmean(0).tolist()
        row["dimension"] = kaplan_yorke(exponents.nanmean(0))
    return row | {"null": null(reference, seed)}


def null(reference: Reference, seed: int) -> float:
    """Share of random halves that read more than 1.5 floors."""
    states, draws = torch.cat([reference.initial, reference.held_out]), torch.Generator()
    halves = [random_half(len(states), None, draws.manual_seed(k + seed)) for k in range(SPLITS)]
    splits = mmd2_splits(states, reference.bandwidth, torch.stack(halves, 1))
    return (splits > 1.5 * splits.quantile(0.95)).double().mean().item()


def show(rows: list[dict]) -> None:
    """Print a line for each candidate and data set: medians and ranges over seeds."""
    harness.heading(
        "candidate", "data", "1", "10", "100", "runs beyond 1.5", "cos to its network",
        "largest residual", "|cos| to the truth", "largest exponent", "dimension", "CPU s",
    )  # fmt: skip
    for candidate, name in dict.fromkeys((row["candidate"], row["data"]) for row in rows):
        own = [r for r in rows if (r["candidate"], r["data"]) == (candidate, name)]
        columns = zip(*(row["ratios"] for row in own), strict=True)
        beyond = f"{sum(max(row['ratios']) > 1.5 for row in own)} of {len(own)}"
        chaos = [row["exponents"][0] for row in own if "exponents" in row]
        further = (
            _spread(own, "cos"),
            f"{max(row['residual'] for row in own):.0e}" if "residual" in own[0] else "-",
            _spread(own, "truth"),
            harness.spread(chaos, ".3f") if chaos else "-",
            _spread(own, "dimension"),
            f"{median(row['seconds'] for row in own):.0f}",
        )
        harness.row(candidate, name, *map(harness.spread, columns), beyond, *further)
    print(f"null: {sum(row['null'] for row in rows) / len(rows):.1%} of random halves beyond 1.5")


def _spread(rows: list[dict], key: str) -> str:
    return harness.spread([row[key] for row in rows]) if key in rows[0] else "-"


if __name__ == "__main__":
    asked = harness.options(
        __doc__,
        candidates=harness.Names(CANDIDATES),
        data=harness.Names(DATA),
        seeds=[0, 1],
        out=Path("outputs/benchmarks/exact"),
    )
    rows = []
    for seed, name, candidate in product(asked.seeds, asked.data, asked.candidates):
        path = asked.out / f"{candidate}_{name}_{seed}.json"
        rows.append(harness.kept(path, partial(measure, candidate, name, seed)))
    show([row for row in rows if row])
