"""Threads and how they wait: milliseconds on an idle machine and beside a busy process.

    python benchmarks/threads.py

The evidence for the default, as many threads as cores with OMP_WAIT_POLICY=PASSIVE. One process
per setting, since OpenMP reads its environment once; they measure in turn, and are stopped by
signal in between, when spinning threads would disturb the others. The wait policy has no meaning
for one thread. Busy means one more process multiplying matrices on one thread.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
POLICIES = ("PASSIVE", "ACTIVE", "unset")
SPIN = "import numpy as np; a = np.eye(200); print('spinning', flush=True)\nwhile True: a = a @ a"
PARTS = ("score evaluation", "score step", "flow step")


def work(threads: int, seconds: float) -> None:
    """Measure every part once for every line of standard input."""
    sys.path[0] = str(ROOT)
    import torch  # reads the wait policy, before benchmarks.speed sets one

    torch.set_num_threads(threads)
    from benchmarks.speed import BATCH_SIZE, SIGMA, FlowAlone, Loop, ScoreAlone, lap
    from eqflow.model import FlowModel
    from eqflow.training import Batch

    states = torch.randn(BATCH_SIZE, 3, generator=torch.Generator().manual_seed(0))
    batch = Batch(states, BATCH_SIZE)
    learner, taught = (FlowModel((3,), states) for _ in range(2))
    calls = (
        torch.no_grad()(partial(taught.score, states, SIGMA)),
        partial(Loop(ScoreAlone(learner.score)), batch),
        partial(Loop(FlowAlone(taught.field, taught.score, SIGMA)), batch),
    )
    for call in calls:
        lap(call, 5)
    print("ready", flush=True)
    for _ in sys.stdin:
        counts = [max(1, round(seconds / lap(call))) for call in calls]
        laps = [1e3 * lap(call, n) for call, n in zip(calls, counts, strict=True)]
        print(json.dumps(laps), flush=True)


class Worker:
    """A process that runs only while it is asked for something."""

    def __init__(self, command: list[str], **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command],
            env={k: v for k, v in os.environ.items() if not k.startswith("OMP_")} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()
        self.process.send_signal(signal.SIGSTOP)

    def _read(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a worker ended early")
        return line

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let it run."""
        self.process.send_signal(signal.SIGCONT)
        yield
        self.process.send_signal(signal.SIGSTOP)

    def measure(self) -> list[float]:
        """Milliseconds of every part."""
        with self.running():
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
            return json.loads(self._read())


def workers(seconds: float) -> dict[str, Worker]:
    """One per setting, by its name in the table."""
    command = [__file__, "--seconds", str(seconds), "--work"]
    found = {"1": Worker([*command, "1"])}
    cores = os.cpu_count() or 1
    for policy in POLICIES if cores > 1 else ():
        environment = {} if policy == "unset" else {"OMP_WAIT_POLICY": policy}
        found[f"{cores}, {policy}"] = Worker([*command, str(cores)], **environment)
    return found


def main() -> None:
    """Measure all settings in turn and print their medians and ranges."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.2, help="of a part in one repeat")
    parser.add_argument("--work", type=int, metavar="THREADS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        return work(arguments.work, arguments.seconds)
    measured = workers(arguments.seconds)
    busy = Worker(["-c", SPIN], OPENBLAS_NUM_THREADS="1")
    laps = defaultdict(list)
    try:
        for _ in range(arguments.repeats):
            for setting, worker in measured.items():
                laps[setting, "idle"].append(worker.measure())
                with busy.running():
                    laps[setting, "busy"].append(worker.measure())
    finally:
        for worker in (*measured.values(), busy):
            worker.process.kill()
    print(f"{arguments.repeats} repeats; ms: median [range]")
    print(f"{'threads':12}{'machine':9}" + "".join(f"{part:28}" for part in PARTS))
    for (setting, machine), rows in sorted(laps.items(), key=lambda row: row[0][1], reverse=True):
        cells = [f"{median(t):7.2f} [{min(t):.2f}, {max(t):.2f}]" for t in zip(*rows, strict=True)]
        print(f"{setting:12}{machine:9}" + "".join(f"{cell:28}" for cell in cells))
    return None


if __name__ == "__main__":
    main()
