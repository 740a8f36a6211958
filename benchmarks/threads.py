"""Threads and how they wait: milliseconds on an idle machine and beside a busy process.

    python benchmarks/threads.py

The evidence for the default, OMP_WAIT_POLICY=PASSIVE. One process per setting, since OpenMP reads
its environment once; they measure in turn, `--repeats` times every part for about `--seconds`, and
are stopped by signal in between, when spinning threads would disturb the others. The wait policy
has no meaning for one thread. Busy means one more process multiplying matrices on one thread.
"""

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch  # before harness sets a wait policy: a worker may have none
from harness import BATCH, Loop, lap, options, spread

from eqflow.model import FlowModel
from eqflow.training import Batch, FlowModule, ScoreModule

POLICIES = ("PASSIVE", "ACTIVE", "unset")
SPIN = "import numpy as np; a = np.eye(200); print('spinning', flush=True)\nwhile True: a = a @ a"
PARTS = ("score evaluation", "score step", "flow step")


def work(seconds: float) -> None:
    """Measure every part once for every line of standard input."""
    states = torch.randn(BATCH, 3, generator=torch.Generator().manual_seed(0))
    batch = Batch(states, BATCH)
    learner, taught = (FlowModel((3,), states) for _ in range(2))
    calls = (
        torch.no_grad()(partial(taught.score, states, 0.2)),
        partial(Loop(ScoreModule(learner.score)), batch),
        partial(Loop(FlowModule(taught.field, taught.score, 0.2)), batch),
    )
    for call in calls:
        lap(call, 5)
    print("ready", flush=True)
    for _ in sys.stdin:
        counts = [max(1, round(seconds / lap(call))) for call in calls]
        print(json.dumps([1e3 * t for t in map(lap, calls, counts)]), flush=True)


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
        if line := self.process.stdout.readline():
            return line
        raise RuntimeError("a worker ended early")

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
    """A worker for every setting, by the name of the setting in the table."""
    command = [__file__, "--seconds", str(seconds), "--work", "--threads"]
    made = {"1": Worker([*command, "1"])}
    cores = os.cpu_count() or 1
    for policy in POLICIES if cores > 1 else ():
        environment = {} if policy == "unset" else {"OMP_WAIT_POLICY": policy}
        made[f"{cores}, {policy}"] = Worker([*command, str(cores)], **environment)
    return made


def table(repeats: int, seconds: float) -> None:
    """Measure all settings in turn and print their medians and ranges."""
    measured = workers(seconds)
    busy = Worker(["-c", SPIN], OPENBLAS_NUM_THREADS="1")
    laps = defaultdict(list)
    try:
        for _ in range(repeats):
            for setting, worker in measured.items():
                laps[setting, "idle"].append(worker.measure())
                with busy.running():
                    laps[setting, "busy"].append(worker.measure())
    finally:
        for worker in (*measured.values(), busy):
            worker.process.kill()
    print(f"{repeats} repeats; ms: median [range]")
    print(f"{'threads':12}{'machine':9}" + "".join(f"{part:28}" for part in PARTS))
    for (setting, machine), rows in sorted(laps.items(), key=lambda row: row[0][1], reverse=True):
        cells = [spread(times, ".2f", 7) for times in zip(*rows, strict=True)]
        print(f"{setting:12}{machine:9}" + "".join(f"{cell:28}" for cell in cells))


if __name__ == "__main__":
    asked = options(__doc__, repeats=7, seconds=0.2, threads=1, work=False)
    work(asked.seconds) if asked.work else table(asked.repeats, asked.seconds)
