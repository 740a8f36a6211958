"""A sweep of short jobs on all cores beside the same jobs one after the other.

    python benchmarks/sweep_throughput.py --jobs 64 --workers 2

The ideal is ``workers`` times the rate of one process alone that has started up (jobs after the
first, in one process); what the sweep reaches is counted from the time at which every worker has
ended its first job. Memory is the largest sum over all of the sweep's processes (proportional set
size: pages that several share are counted once).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).resolve().parents[1]
SHORT = [
    "experiment=ring",
    "flow.training.steps=200",
    "score.training.steps=200",
    "epoch_steps=100",
    "protocol={horizons: [1], starts: 200, splits: 20, transport: false, chaos: 0}",
    "nulls=[minus_x]",
    "beside=[]",
    "threads=1",
    "logger=csv",
    "callbacks.progress=null",
    "+trainer.enable_progress_bar=false",
]


def sweep(folder: Path, cache: Path, jobs: int, *options: str) -> tuple[list[tuple], float]:
    """Start, end of every job of a sweep over seeds of the flow, and its peak memory in MiB."""
    sizes = ",".join(str(0.2 + 0.001 * k) for k in range(jobs))
    command = [sys.executable, str(ROOT / "run.py"), "-m", *SHORT, f"flow.sigma={sizes}"]
    command += [f"sweep_dir={folder}", f"cache_dir={cache}", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = [0.0]
    threading.Thread(target=watch, args=(process, peak), daemon=True).start()
    if process.wait():
        raise SystemExit(f"the sweep in {folder} failed")
    return sorted(map(span, folder.glob("*/status.json"))), peak[0]


def span(path: Path) -> tuple[float, float]:
    """When a job ended, and how long it took."""
    state = json.loads(path.read_text())
    return path.stat().st_mtime, state["seconds"]


def watch(process: subprocess.Popen, peak: list[float]) -> None:
    """Keep the largest memory of a process and all below it."""
    while process.poll() is None:
        peak[0] = max(peak[0], sum(map(memory, family(process.pid))))
        time.sleep(0.5)


def family(ancestor: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(place.name))
    found = [ancestor]
    for number in found:
        found += children.get(number, [])
    return found


def memory(number: int) -> float:
    """Proportional set size of a process in MiB."""
    try:
        lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


def main() -> None:
    """Run both sweeps and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        alone, _ = sweep(folder / "alone", folder / "cache", 9)
        (first, _), *others = alone
        rate = len(others) / (others[-1][0] - first)
        joblib = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={options.workers}"]
        began = time.time()
        ended, peak = sweep(folder / "joblib", folder / "cache", options.jobs, *joblib)
        warm = ended[options.workers - 1][0]
        reached = (len(ended) - options.workers) / (ended[-1][0] - warm)
        print(f"one process: {rate:.3f} jobs a second ({mean(s for _, s in others):.2f} s each)")
        print(f"{options.workers} workers: {reached:.3f} jobs a second after start-up")
        print(f"of the ideal: {reached / rate / options.workers:.0%}")
        print(f"start-up {warm - began:.1f} s, all {ended[-1][0] - began:.1f} s")
        print(f"peak memory of all processes: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
