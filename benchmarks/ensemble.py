"""Many networks at once against one after the other, on Lorenz-63.

    python benchmarks/ensemble.py                      # steps: ratio of rates, one thread
    python benchmarks/ensemble.py --device cuda
    python benchmarks/ensemble.py --chaos --jsonl rows.jsonl   # which learned networks are chaotic

Steps: `--members` members of `flow=network` in the strong form, by width and batch; after a
warm-up, rounds of the two ways alternate, the ratio is the median over rounds.

Chaos: that many members by condition and noise level, trained by `--steps` steps at the other
defaults (seed 0, 50,000 snapshots), and as many random stream fields and random skew maps, which
need no training. Lyapunov exponents per transit time of 4 trajectories a member over 100 transit
times: mean and spread over members of the exponent, the share that is chaotic (mean over its
trajectories above what a shear reads by three errors), the sum of exponents, the share of
trajectories that left the data, |cos| to the truth; the true system at the end.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

import torch  # noqa: E402

from data_modules import Lorenz  # noqa: E402
from eqflow.evaluation import Protocol, chaos, member_chaos, similarity  # noqa: E402
from eqflow.evaluation.members import mean_and_spread  # noqa: E402
from eqflow.fields import Ensemble, VelocityField, build_field  # noqa: E402
from eqflow.score import MLPScore, Score, build_score  # noqa: E402
from eqflow.simulate import RK4  # noqa: E402
from eqflow.snapshots import Snapshots  # noqa: E402
from eqflow.training import (  # noqa: E402
    Batch,
    EnsembleModule,
    StageModule,
    flow_module,
    noised_batches,
    quiet_trainer,
    score_module,
    train_loader,
)

BATCH, SIGMA = 512, 0.2
SETTINGS = [(512, 64), (64, 64), (512, 16), (64, 16)]  # batch and width
LEVELS = (0.1, 0.2, 0.4)
TRAJECTORIES = 4
COLUMNS = {
    "exponent": "chaos/lyapunov_max",
    "chaotic": "chaos/chaotic",
    "sum": "chaos/lyapunov_sum",
    "left": "chaos/escaped",
    "cos": "truth/cos",
}


# steps


def step_of(module: StageModule, batch: Batch) -> Callable[[], None]:
    """One step of training, its optimiser's included."""
    fields = module.ensemble if isinstance(module, EnsembleModule) else module.field
    optimiser = torch.optim.Adam(fields.parameters(), 1e-3)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        module.loss(batch, 0).backward()
        optimiser.step()

    return step


def ratio(members: int, batch: int, width: int, device: str, rounds: int) -> tuple[float, float]:
    """Time of the members one after the other over that together; seconds of a joint step."""
    score = MLPScore((3,)).to(device).requires_grad_(False)
    states = torch.randn(batch, 3, device=device)
    fields = [
        build_field("network", (3,), score, SIGMA, seed, width=width).to(device)
        for seed in range(members)
    ]
    alone = flow_module(fields[0], score, states, SIGMA)
    together = flow_module(Ensemble(fields), score, states, SIGMA)
    assert alone is not None
    assert isinstance(together, EnsembleModule)
    one = step_of(alone, Batch(states, batch))
    fields[0].requires_grad_(False)
    many = step_of(together, Batch(states, batch))

    def seconds(step: Callable[[], None], times: int) -> float:
        started = time.perf_counter()
        for _ in range(times):
            step()
        if device != "cpu":
            torch.cuda.synchronize()
        return (time.perf_counter() - started) / times

    found = []
    for round_ in range(rounds + 1):
        alone.field.requires_grad_(True)
        single = seconds(one, members)
        alone.field.requires_grad_(False)
        joint = seconds(many, 2)
        found += [(members * single / joint, joint)] if round_ else []
    return median(r for r, _ in found), median(s for _, s in found)


def steps(members: int, device: str, rounds: int) -> None:
    print("| batch | width | alone / together | s a joint step |\n|---|---|---|---|")
    for batch, width in SETTINGS:
        gain, seconds = ratio(members, batch, width, device, rounds)
        print(f"| {batch} | {width} | {gain:.2f} | {seconds:.3f} |", flush=True)


# chaos


def kinds(
    snapshots: Snapshots, score: Score, members: int, steps: int
) -> Iterator[tuple[str, float, Callable[[], tuple[Ensemble, float]]]]:
    """Name, noise level, and what makes the members and says how many CPU seconds it took."""
    for level in LEVELS:
        yield (
            f"network, strong, {level:g}",
            level,
            lambda level=level: trained(snapshots, score, members, steps, "strong", level),
        )
    yield "network, weak", 0.0, lambda: trained(snapshots, score, members, steps, "weak", 0.0)
    for family in ("stream", "skew"):
        yield (
            f"{family}, random, {SIGMA:g}",
            SIGMA,
            lambda family=family: (
                drawn(snapshots, score, members, family, SIGMA),
                0.0,
            ),
        )


def trained(
    snapshots: Snapshots, score: Score, members: int, steps: int, condition: str, level: float
) -> tuple[Ensemble, float]:
    started = time.process_time()
    fields = drawn(snapshots, score, members, "network", level)
    options = {"sigma": level} if condition == "strong" else {}
    module = flow_module(
        fields, score, snapshots.train, condition=condition, steps=steps, seed=0, **options
    )
    assert module is not None
    fit(module, snapshots)
    return _unit(fields, snapshots, level), time.process_time() - started


def drawn(snapshots: Snapshots, score: Score, members: int, family: str, level: float) -> Ensemble:
    every = [
        build_field(family, snapshots.shape, score, level or SIGMA, seed) for seed in range(members)
    ]
    fields = Ensemble(every)
    return fields if family == "network" else _unit(fields, snapshots, level)


def _unit(fields: Ensemble, snapshots: Snapshots, level: float) -> Ensemble:
    return fields.requires_grad_(False).normalise_(noised_batches(snapshots.train, level))


def fit(module: StageModule, snapshots: Snapshots) -> None:
    trainer = quiet_trainer(module.steps, accelerator="cpu")
    trainer.fit(module, train_loader(snapshots.train, BATCH, 500, 0))


def add_measurement_noise(fields: Ensemble, snapshots: Snapshots, level: float) -> dict[str, float]:
    protocol = Protocol(chaos=TRAJECTORIES)
    found = member_chaos(fields, snapshots, RK4(), level, protocol)
    alike = [similarity(fields[k], snapshots, level, protocol) for k in range(len(fields))]
    return mean_and_spread([chaos | cos for chaos, cos in zip(found, alike, strict=True)])


def which_are_chaotic(members: int, steps: int, path: Path | None) -> None:
    data = Lorenz(seed=0)
    data.setup()
    snapshots = data.snapshots
    score = build_score("mlp", snapshots.shape, snapshots.train, 0)
    module = score_module(score, seed=0)  # type: ignore[arg-type]
    fit(module, snapshots)
    score.requires_grad_(False)
    done = _read(path)
    print(f"| field | {' | '.join(COLUMNS)} | CPU s a member |\n|{'---|' * (len(COLUMNS) + 2)}")
    for name, level, make in kinds(snapshots, score, members, steps):
        row = done.get(name)
        if row is None:
            fields, seconds = make()
            row = measured(fields, snapshots, level) | {"seconds": seconds / members}
            _write(path, {"name": name, "members": members, "steps": steps, **row})
        cells = [_cell(row, key) for key in COLUMNS.values()]
        print(f"| {name} | {' | '.join(cells)} | {row['seconds']:.1f} |", flush=True)
    truth = true_exponents(snapshots)
    cells = [_cell(truth, f"truth/{key}") for key in COLUMNS.values()]
    print(f"| true system | {' | '.join(cells)} | |")


def true_exponents(snapshots: Snapshots) -> dict[str, float]:
    """Of the true system; any field asks for them."""
    field: VelocityField = build_field("minus_x", snapshots.shape, Score(), SIGMA)
    return chaos(field, snapshots, RK4(), 0.0, Protocol(chaos=1))


def _cell(row: dict[str, Any], key: str) -> str:
    if key not in row:
        return ""
    spread = row.get(f"{key}_std")
    return f"{row[key]:.3f}" + (f" ± {spread:.3f}" if spread is not None else "")


def _read(path: Path | None) -> dict[str, dict[str, Any]]:
    if path is None or not path.is_file():
        return {}
    return {row["name"]: row for row in map(json.loads, path.read_text().splitlines())}


def _write(path: Path | None, row: dict[str, Any]) -> None:
    if path is not None:
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--chaos", action="store_true")
    parser.add_argument("--steps", type=int, default=500, help="of training")
    parser.add_argument("--jsonl", type=Path, help="keep rows, and go on from them")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.chaos:
        which_are_chaotic(options.members, options.steps, options.jsonl)
    else:
        steps(options.members, options.device, options.rounds)


if __name__ == "__main__":
    main()
