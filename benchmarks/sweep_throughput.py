"""A sweep of short jobs on all cores beside the same jobs one after the other.

    python benchmarks/sweep_throughput.py --jobs 64 --workers 2

The ideal is ``workers`` times the rate of one process alone that has started up (jobs after the
first, in one process); what the sweep reaches is counted from the time at which every worker has
ended its first job. Memory is the largest sum over all of the sweep's processes (proportional set
size: pages that several share are counted once; Linux).
"""

import json
import os
import re
import tempfile
import time
from pathlib import Path
from statistics import mean

import harness

SHORT = ["experiment=ring", "flow.training.steps=200", "score.training.steps=200"]
SHORT += ["epoch_steps=100", "nulls=[minus_x]", "beside=[]", "threads=1", "logger=csv"]
SHORT += ["protocol={horizons: [1], starts: 200, splits: 20, transport: false, chaos: 0}"]


def sweep(folder: Path, cache: Path, jobs: int, *options: str) -> tuple[list[tuple], float]:
    """End and length of every job of a sweep over noise levels, and its peak memory in MiB."""
    sizes = ",".join(str(0.2 + 0.001 * k) for k in range(jobs))
    places = (f"flow.sigma={sizes}", f"sweep_dir={folder}", f"cache_dir={cache}")
    process, peak = harness.command_line("-m", *SHORT, *harness.QUIET, *places, *options), 0.0
    while process.poll() is None:
        peak = max(peak, memory(process.pid))
        time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"the sweep in {folder} failed")
    return sorted(map(span, folder.glob("*/status.json"))), peak


def span(path: Path) -> tuple[float, float]:
    """When a job ended, and how long it took."""
    return path.stat().st_mtime, json.loads(path.read_text())["seconds"]


def memory(session: int) -> float:
    """Proportional set size in MiB of all processes of a session."""
    total = 0
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(place.name)) == session:
                rolled = (place / "smaps_rollup").read_text()
                total += sum(map(int, re.findall(r"^Pss: +(\d+)", rolled, re.MULTILINE)))
        except OSError:  # it has ended
            continue
    return total / 1024


if __name__ == "__main__":
    asked = harness.options(__doc__, jobs=64, workers=2)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        ((first, _), *others), _ = sweep(folder / "alone", folder / "cache", 9)
        rate = len(others) / (others[-1][0] - first)
        joblib = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={asked.workers}"]
        began = time.time()
        ended, peak = sweep(folder / "joblib", folder / "cache", asked.jobs, *joblib)
        warm, last = ended[asked.workers - 1][0], ended[-1][0]
        reached = (len(ended) - asked.workers) / (last - warm)
        print(f"one process: {rate:.3f} jobs a second ({mean(s for _, s in others):.2f} s each)")
        print(f"{asked.workers} workers: {reached:.3f} jobs a second after start-up")
        print(f"of the ideal: {reached / rate / asked.workers:.0%}")
        print(f"start-up {warm - began:.1f} s, all {last - began:.1f} s")
        print(f"peak memory of all processes: {peak:.0f} MiB")
