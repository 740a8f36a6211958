"""Preservation of every field on every data set, over seeds: medians and ranges as a table.

    python benchmarks/preservation.py --seeds 1 2 3 4 5

One default configuration for all. Each run is `run.py experiment=<data> seed=<seed>` with all
fitted fields to 100 transit times (nulls too for the first seed); the network is then measured
once more as an SDE. Finished runs are kept and not repeated.
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import data_modules  # noqa: E402
import eqflow  # noqa: E402
from eqflow.evaluation import Protocol, preservation  # noqa: E402
from eqflow.simulate import HeunSDE  # noqa: E402
from eqflow.store import write_json  # noqa: E402

DATA = {
    "two_moons": data_modules.TwoMoons,
    "two_peaks": data_modules.TwoPeaks,
    "ring": data_modules.Ring,
    "lorenz": data_modules.Lorenz,
}
HORIZONS = (1, 10, 100)
FIELDS = {
    "network": "",
    "network, SDE": "sde/",
    "skew": "beside/skew/",
    "score": "null/score/",
    "random": "null/random/",
    "random_linear": "null/random_linear/",
    "minus_x": "null/minus_x/",
}


def run(name: str, seed: int, folder: Path, null_horizon: int) -> None:
    """One job of the command line, then its network under the SDE."""
    if (folder / "sde.json").is_file():
        return
    options = {
        "experiment": name,
        "seed": seed,
        "run_dir": folder,
        "cache_dir": folder.parent / "cache",
        "protocol.horizons": list(HORIZONS),
        "null_horizon": null_horizon,
        "logger": "none",
        "threads": 1,
        "+trainer.enable_progress_bar": "false",
    }
    overrides = [f"{key}={value}".replace(" ", "") for key, value in options.items()]
    overrides.append("~callbacks.progress")
    subprocess.run([sys.executable, ROOT / "run.py", *overrides], cwd=ROOT, check=True)
    subprocess.run([sys.executable, __file__, "--sde", name, str(seed), str(folder)], check=True)


def measure_sde(name: str, seed: int, folder: Path) -> None:
    """Preservation of a run's network with the default noise, eta = 0.1."""
    import torch

    torch.set_num_threads(1)
    data, model = DATA[name](seed=seed), eqflow.load(folder).model
    data.setup()
    protocol = Protocol(horizons=HORIZONS, transport=False, seed=seed)
    with torch.no_grad():
        numbers = preservation(
            model.field, model.score, data.snapshots, HeunSDE(), model.sigma, protocol
        )
    write_json(folder / "sde.json", {f"sde/{key}": value for key, value in numbers.items()})


def summarise(out: Path, data: list[str], seeds: list[int]) -> None:
    """Print and save the median and range of every ratio."""
    table = {}
    for name, (field, prefix), horizon in product(data, FIELDS.items(), HORIZONS):
        key = f"{prefix}preservation/mmd2_ratio_h{horizon}"
        runs = [out / f"{name}_{seed}" for seed in seeds]
        found = [
            json.loads((run / "metrics.json").read_text())
            | json.loads((run / "sde.json").read_text())
            for run in runs
        ]
        values = sorted(numbers[key] for numbers in found if key in numbers)
        table[f"{name} | {field} | {horizon}"] = [
            median(values),
            values[0],
            values[-1],
            len(values),
        ]
        print(f"{name:10} {field:14} {horizon:4}  ", end="")
        print(f"{median(values):8.2f}  [{values[0]:.2f}, {values[-1]:.2f}]  of {len(values)}")
    write_json(out / "table.json", table)


def main() -> None:
    """Run what is missing, two jobs at a time, and summarise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmarks/preservation"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--sde", nargs=3, metavar=("DATA", "SEED", "FOLDER"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    if arguments.sde:
        name, seed, folder = arguments.sde
        return measure_sde(name, int(seed), Path(folder))
    out = arguments.out.resolve()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        jobs = [
            pool.submit(run, name, seed, out / f"{name}_{seed}", 100 if i == 0 else 10)
            for i, seed in enumerate(arguments.seeds)
            for name in arguments.data
        ]
        for job in jobs:
            job.result()
    summarise(out, arguments.data, arguments.seeds)
    return None


if __name__ == "__main__":
    main()
