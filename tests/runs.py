"""Runs of the smallest size, started from tests, and what they leave."""

import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import torch
from omegaconf import DictConfig

from eqflow.cli import main
from eqflow.cli.processes import rank

ROOT = Path(__file__).parents[1]
TINY = [
    "experiment=ring",
    "data.n=300",
    "data.val=20",
    "data.test=200",
    "score.training.steps=4",
    "flow.training.steps=4",
    "flow.projection.steps=4",
    "epoch_steps=2",
    "protocol={horizons: [1], starts: 50, splits: 8, transport: false, chaos: 0}",
    "threads=1",
    "beside=[]",
    "nulls=[minus_x]",
]
CURVED = [option for option in TINY if "steps" not in option]
CURVED += ["score.training.steps=8", "flow.training.steps=8", "flow.projection.steps=8"]
CURVED += ["epoch_steps=3"]
CURVED += ["trainer.log_every_n_steps=2"]
"""Runs with several rows of losses."""

LIBRARY = [option for option in TINY if ".steps=" not in option]
LIBRARY += ["flow=library", "flow.field.degree=1", "flow.training.functions=20", "logger=none"]


def call(monkeypatch, *overrides: str) -> int:
    """Run the command line in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["run.py", *overrides])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def forked(folder: Path, trainer: DictConfig) -> None:
    """In place of torchrun: ranks forked from here, with what is imported and patched here."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port, size = free.getsockname()[1], str(trainer.devices)
    meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "forked"}
    meet |= {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "GROUP_RANK": "0"}

    def work(number: str) -> None:
        os.environ.update(meet, RANK=number, LOCAL_RANK=number)
        rank.main(folder)

    start = multiprocessing.get_context("fork").Process
    ranks = [start(target=work, args=(str(number),)) for number in range(trainer.devices)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    assert not any(process.exitcode for process in ranks)


def spawn(*overrides: str, **arguments) -> subprocess.Popen:
    """Start the command line in its own process."""
    command = [sys.executable, str(ROOT / "run.py"), *overrides]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **arguments)


def metrics(folder: Path) -> dict[str, float]:
    """What a run measured, seconds aside."""
    found = json.loads((folder / "metrics.json").read_text())
    return {name: value for name, value in found.items() if not name.startswith("time/")}


def wandb_records(path: Path):
    """Records of an offline W&B file: a 7-byte header, then LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, part = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        room = 32768 - at % 32768
        if room < 7:
            at += room
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # the whole of a record, or its last part
            yield Record.FromString(part)
            part = b""


def coefficients(folder: Path) -> torch.Tensor:
    """Coefficients of the equations of a run."""
    path = folder / "checkpoints" / "flow.ckpt"
    return torch.load(path, weights_only=True)["state_dict"]["coefficients"]


def stage_and_step(path: Path) -> tuple[str, int]:
    """What ``last.ckpt`` holds; nothing yet sorts first."""
    try:
        content = torch.load(path, weights_only=True)
    except (OSError, RuntimeError, EOFError):
        return "", 0
    return content["stage"], content["global_step"]


def wait_until(process: subprocess.Popen, reached) -> None:
    """Return once ``reached()`` while the process runs."""
    while process.poll() is None and not reached():
        time.sleep(0.02)
    assert process.poll() is None, process.stderr.read()
