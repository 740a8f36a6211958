"""Does a run that is killed anywhere end, resumed, with the numbers of one that is not?

A small run of every stage is killed (SIGKILL, its whole process group) at random moments of its
life and resumed, every third one killed again while it resumes. Every folder must end with exactly
the uninterrupted run's metrics, seconds aside, and without left-over files.

A kill before the run began leaves a folder without a run: nothing was lost, and only the command
line knows what was wanted. Resuming then says so in one sentence with code 2, and the same command
takes the folder over.

    python benchmarks/kills.py [--kills N] [--seed S] [--family network|library] [--out FOLDER]
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
SMALL = ["experiment=ring", "data.n=2000", "epoch_steps=40", "logger=csv", "threads=1"]
SMALL += ["protocol.horizons=[1,10]", "protocol.starts=200", "protocol.transport=false"]
FAMILIES = {
    "network": ["score.training.steps=400", "flow.training.steps=400"],
    "library": ["flow=library", "flow.field.degree=1", "data.n=600000"],
}
CREATED = -1
"""The moment at which the folder of a run appears: hardly ever hit by chance."""


def start(*options: str) -> subprocess.Popen:
    """The command line in a process group of its own."""
    command = [sys.executable, str(ROOT / "run.py"), *options]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, start_new_session=True, **quiet)


def kill(process: subprocess.Popen, moment: float, folder: Path) -> bool:
    """SIGKILL the group ``moment`` seconds from now; False if it had ended before."""
    try:
        if moment == CREATED:
            while not folder.exists() and process.poll() is None:
                time.sleep(0.0005)
        else:
            process.wait(moment)
            return False
    except subprocess.TimeoutExpired:
        pass
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return True


def finish(process: subprocess.Popen) -> int:
    """Wait for a process and show why it failed, if it did with a traceback."""
    _, errors = process.communicate()
    if process.returncode == 1:
        print(errors, file=sys.stderr)
    return process.returncode


def where(folder: Path) -> str:
    """The stage that a killed run was in, by what it left."""
    done = {path.stem for path in (folder / "checkpoints").glob("*.ckpt")}
    stages = {"flow": "evaluate", "score": "flow"}
    if not (folder / ".hydra" / "resolved.yaml").exists():
        return "start"
    return next((stage for name, stage in stages.items() if name in done), "score")


def metrics(folder: Path) -> dict[str, float]:
    """What a run measured, seconds aside."""
    numbers = json.loads((folder / "metrics.json").read_text())
    return {name: value for name, value in numbers.items() if not name.startswith("time/")}


def survive(options: list[str], moments: list[float]) -> tuple[list[str], Path]:
    """Kill one run at each of ``moments``, then let it end; the stages it was killed in."""
    folder = Path(next(o for o in options if o.startswith("run_dir=")).split("=", 1)[1])
    command, resume = options, [f"run_dir={folder}", "resume=true"]
    stages = []
    for moment in moments:
        process = start(*command)
        if not kill(process, moment, folder):  # quicker than the uninterrupted one
            assert finish(process) == 0, f"{folder} killed in {stages} was not resumed"
            return stages, folder
        stages.append(where(folder))
        if stages[-1] == "start":
            assert finish(start(*resume)) == 2, "a folder without a run was resumed"
        command = options if stages[-1] == "start" else resume
    assert finish(start(*command)) == 0, f"{folder} killed in {stages} was not resumed"
    return stages, folder


def check(folder: Path, whole: dict[str, float]) -> None:
    """Refuse other numbers than ``whole``, and files that no run leaves."""
    assert metrics(folder) == whole, f"{folder} ended with other metrics"
    parts = [path for path in folder.rglob(".*") if path.is_file()]
    assert not parts, f"left over: {parts}"


def campaign(out: Path, kills: int, seed: int, family: str) -> Counter[str]:
    """At least ``kills`` kills; how many there were in each stage."""
    draw, counted = random.Random(seed), Counter[str]()
    options = [*SMALL, *FAMILIES[family]]
    began = time.monotonic()
    assert finish(start(*options, f"run_dir={out}/whole", f"cache_dir={out}/cache_whole")) == 0
    life, whole = time.monotonic() - began, metrics(out / "whole")
    print(f"uninterrupted: {life:.1f} s", flush=True)
    number = 0
    while counted.total() < kills:
        name, number = f"{number:02d}", number + 1
        moments = [draw.uniform(0, life) if number > 1 else CREATED]
        moments += [draw.uniform(0, life)] if number % 3 == 0 else []
        places = [f"run_dir={out}/{name}", f"cache_dir={out}/cache_{name}"]
        stages, folder = survive([*options, *places], moments)
        check(folder, whole)
        counted.update(stages)
        at = ", ".join(f"{m:.2f} s" for m in moments)
        print(f"{name}: killed at {at} in {', '.join(stages) or 'no stage'}: same", flush=True)
    return counted


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--family", choices=FAMILIES, default="network")
    parser.add_argument("--out", type=Path, help="a temporary folder by default")
    asked = parser.parse_args()
    out = asked.out or Path(tempfile.mkdtemp(prefix="kills_"))
    counted = campaign(out, asked.kills, asked.seed, asked.family)
    print(f"{counted.total()} kills, all resumed to the same metrics: {dict(counted)}")
