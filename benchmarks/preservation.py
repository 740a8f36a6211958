"""Preservation of every field on every data set, over seeds: medians and ranges as a table.

    python benchmarks/preservation.py --seeds 1 2 3 4 5

One default configuration for all, `--jobs` runs at a time. Each run is
`run.py experiment=<data> seed=<seed>` with all fitted fields to 100 transit times (nulls too for
the first seed); the network is then measured once more as an SDE. Finished runs are kept and not
repeated.
"""

import json
from itertools import product
from pathlib import Path
from statistics import median

import harness
import torch
from harness import spread

from data_modules import Lorenz, Ring, TwoMoons, TwoPeaks
from eqflow.estimator import load
from eqflow.evaluation import Protocol, Reference, preservation
from eqflow.runtime import write_json
from eqflow.simulate import HeunSDE

DATA = {"two_moons": TwoMoons, "two_peaks": TwoPeaks, "ring": Ring, "lorenz": Lorenz}
HORIZONS = (1, 10, 100)
FIELDS = {"network": "", "network, SDE": "sde/", "skew": "beside/skew/"}
FIELDS |= {null: f"null/{null}/" for null in ("score", "random", "random_linear", "minus_x")}
"""Fields and the prefixes of their numbers."""


def run(out: Path, name: str, seed: int, null_horizon: int) -> None:
    """One job of the command line, then its network as an SDE."""
    folder = out / f"{name}_{seed}"
    overrides = [f"experiment={name}", f"seed={seed}", "logger=none", "threads=1", *harness.QUIET]
    overrides += [f"protocol.horizons={list(HORIZONS)}", f"null_horizon={null_horizon}"]
    overrides += [f"run_dir={folder}", f"cache_dir={out / 'cache'}"]
    if harness.command_line(*overrides).wait():
        raise RuntimeError(f"the run in {folder} failed")
    write_json(folder / "sde.json", as_sde(name, seed, folder))


@torch.no_grad()
def as_sde(name: str, seed: int, folder: Path) -> dict[str, float]:
    """Preservation of a run's network with the default noise, eta = 0.1."""
    torch.set_num_threads(1)
    snapshots, model = harness.prepared(DATA[name](seed=seed)), load(folder).model
    protocol = Protocol(horizons=HORIZONS, transport=False, seed=seed)
    reference = Reference(snapshots, model.sigma, protocol)
    numbers = preservation(model.field, model.score, reference, HeunSDE())
    return {f"sde/{key}": value for key, value in numbers.items()}


def summarise(out: Path, data: list[str], seeds: list[int]) -> None:
    """Print and save the median and range of every ratio."""
    table = {}
    for name, (field, prefix), horizon in product(data, FIELDS.items(), HORIZONS):
        runs = [
            json.loads((out / f"{name}_{seed}" / "metrics.json").read_text())
            | json.loads((out / f"{name}_{seed}" / "sde.json").read_text())
            for seed in seeds
        ]
        key = f"{prefix}preservation/mmd2_ratio_h{horizon}"
        values = [numbers[key] for numbers in runs if key in numbers]
        ends = median(values), min(values), max(values)
        table[f"{name} | {field} | {horizon}"] = [*ends, len(values)]
        print(f"{name:10} {field:14} {horizon:4}  {spread(values, '.2f', 8)}  of {len(values)}")
    write_json(out / "table.json", table)


if __name__ == "__main__":
    runs = {"out": Path("outputs/benchmarks/preservation"), "jobs": 2}
    asked = harness.options(__doc__, seeds=[1, 2, 3, 4, 5], data=harness.Names(DATA), **runs)
    out = asked.out.resolve()
    missing = [
        (name, seed, 100 if seed == asked.seeds[0] else 10)
        for seed, name in product(asked.seeds, asked.data)
        if not (out / f"{name}_{seed}" / "sde.json").is_file()
    ]
    with harness.processes(asked.jobs) as pool:
        for job in [pool.submit(run, out, *case) for case in missing]:
            job.result()
    summarise(out, asked.data, asked.seeds)
