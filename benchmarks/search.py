"""A search that is killed and resumed, beside the default configuration.

    python benchmarks/search.py --trials 40 --kills 2

Searches `experiment=lorenz flow=network`, two trials at a time, and kills all of its processes
each time another share of the trials has ended; the same command with `resume=true` goes on. The
best trial and the default are then run on further `--seeds`, because the best of many on one test
set flatters itself.
"""

import json
import os
import shlex
import signal
import time
from functools import partial
from pathlib import Path
from statistics import mean

import harness
from harness import command_line

METRIC = "preservation/rank"
QUIET = ["logger=none", *harness.QUIET]
PAIR = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.n_jobs=2"]


def ended(folder: Path) -> int:
    """Trials that finished or were pruned."""
    states = [json.loads(path.read_text())["status"] for path in folder.glob("*/status.json")]
    return sum(state in ("finished", "pruned") for state in states)


def search(folder: Path, cache: Path, trials: int, kills: int) -> None:
    """Run the search to its end, killed whenever another share of its trials has ended."""
    first = ["-m", "sweep=optuna", "experiment=lorenz", "flow=network", *QUIET, *PAIR]
    first += [f"hydra.sweeper.n_trials={trials}", f"sweep_dir={folder}", f"cache_dir={cache}"]
    for k in range(1, kills + 2):
        process = command_line(*(first if k == 1 else ["resume=true", f"sweep_dir={folder}"]))
        while process.poll() is None:
            time.sleep(1)
            if k <= kills and ended(folder) >= k * trials / (kills + 1):
                os.killpg(process.pid, signal.SIGKILL)
                print(f"killed with {ended(folder)} trials ended", flush=True)
                break
        process.wait()


def best(folder: Path) -> tuple[float, list[str]]:
    """The least value and the overrides that reached it."""
    jobs = json.loads((folder / "sweep.json").read_text())["jobs"]
    finished = [job for job in jobs if job["status"] == "finished"]
    job = min(finished, key=lambda job: job["metrics"][METRIC])
    given = [f"{name}={value}" for name, value in job.items() if name.startswith("flow.")]
    return job["metrics"][METRIC], given


def value(folder: Path, cache: Path, seed: int, overrides: list[str]) -> float:
    """The metric of one run, measured as the search measures."""
    light = ["sweep=optuna", "hydra.mode=RUN", "experiment=lorenz", "flow=network", *QUIET]
    options = [f"run_dir={folder}", f"cache_dir={cache}", f"seed={seed}", *overrides]
    if command_line(*light, *options).wait():
        raise SystemExit(f"the run in {folder} failed")
    return json.loads((folder / "metrics.json").read_text())[METRIC]


if __name__ == "__main__":
    place = Path("outputs/benchmarks/search")
    asked = harness.options(__doc__, trials=40, kills=2, seeds=[0, 1], out=place)
    out = asked.out.resolve()
    find = partial(search, out / "sweep", out / "cache", asked.trials, asked.kills)
    _, seconds = harness.timed(find, time.time)
    print(f"{ended(out / 'sweep')} trials ended, {seconds:.0f} s", flush=True)
    least, overrides = best(out / "sweep")
    print(f"best {METRIC} {least:.3g} with {shlex.join(overrides)}", flush=True)
    for name, given in (("default", []), ("best", overrides)):
        values = [value(out / f"{name}_{s}", out / "cache", s, given) for s in asked.seeds]
        print(f"{name}: {', '.join(f'{v:.3g}' for v in values)} (mean {mean(values):.3g})")
