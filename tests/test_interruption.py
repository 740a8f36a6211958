"""What ends a run before its time, Ctrl-C, SIGTERM or a kill, and what resumes it."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from runs import (
    CURVED,
    LIBRARY,
    TINY,
    call,
    coefficients,
    metrics,
    spawn,
    stage_and_step,
    wait_until,
    wandb_records,
)

from benchmarks import kills
from eqflow.cli import evaluation
from eqflow.cli.status import read_status
from eqflow.discovery import Discovery
from eqflow.signals import ENDING
from eqflow.training import FlowModule, ProjectionModule, ScoreModule, batches, library

SIGTERM, CTRL_C = 128 + signal.SIGTERM, 128 + signal.SIGINT
"""Exit codes of a run that was told to end."""


# told to end


def told_at(monkeypatch, module: type, step: int, number: int = signal.SIGTERM) -> None:
    """Send this process a signal in the loss of ``step``; validation counts from ``2**31``."""
    loss, left = module.loss, [step]

    def signalling(self, batch, step):
        if step in left:
            left.remove(step)
            os.kill(os.getpid(), number)
        return loss(self, batch, step)

    monkeypatch.setattr(module, "loss", signalling)


@pytest.mark.parametrize(
    ("module", "told", "number", "saved"),
    [
        (ScoreModule, 1, signal.SIGINT, ("score", 2)),
        (FlowModule, 0, signal.SIGTERM, ("network", 1)),
        (FlowModule, 7, signal.SIGINT, ("network", 8)),
        (ProjectionModule, 0, signal.SIGTERM, ("flow", 1)),
        (ProjectionModule, 4, signal.SIGINT, ("flow", 5)),
        # an epoch's end: validated, and a step of the next
        (ProjectionModule, 2, signal.SIGTERM, ("flow", 4)),
        (ProjectionModule, 2**31, signal.SIGINT, ("flow", 4)),
        (ProjectionModule, 7, signal.SIGTERM, ("flow", 8)),
    ],
)
def test_a_signal_saves_the_step_and_resume_goes_on_from_it(
    module, told, number, saved, whole, tmp_path, monkeypatch, capfd
):
    told_at(monkeypatch, module, told, number)
    before = [signal.getsignal(each) for each in ENDING]
    folder, options = tmp_path / "cut", [*CURVED, "logger=none", f"cache_dir={tmp_path}/cache"]
    assert call(monkeypatch, *options, f"run_dir={folder}") == 128 + number
    said = capfd.readouterr().err.splitlines()
    assert said[-1] == f"interrupted; to go on: run_dir={folder} resume=true"
    assert read_status(folder).status == "interrupted"
    assert stage_and_step(folder / "checkpoints" / "last.ckpt") == saved
    assert not (folder / "checkpoints" / "flow.ckpt").exists()
    assert [signal.getsignal(each) for each in ENDING] == before
    assert call(monkeypatch, f"run_dir={folder}", "resume=true") == 0
    assert metrics(folder) == metrics(whole)
    for stage in ("score", "network", "flow"):
        assert history(folder, stage) == history(whole, stage)


def at_flow(last: Path, step: int) -> bool:
    """Whether ``last.ckpt`` is of the flow stage, at ``step`` or later."""
    stage, reached = stage_and_step(last)
    return stage == "flow" and reached >= step


def history(folder: Path, stage: str) -> list[dict[str, float]]:
    """The curve of a stage's training."""
    path = folder / "checkpoints" / f"{stage}.ckpt"
    return torch.load(path, weights_only=True)["history"]


def test_a_second_ctrl_c_does_not_wait_for_the_step(tmp_path, monkeypatch):
    def impatient(self, batch, step):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        raise RuntimeError("the step went on")

    monkeypatch.setattr(ScoreModule, "loss", impatient)
    options = [*TINY, "logger=none", f"run_dir={tmp_path}/run", f"cache_dir={tmp_path}/cache"]
    assert call(monkeypatch, *options) == CTRL_C
    assert read_status(tmp_path / "run").status == "interrupted"
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_ctrl_c_does_not_wait_for_fields_that_are_being_measured(whole, tmp_path, monkeypatch):
    """Their threads cannot be stopped: the process ends without them."""
    told, ended = threading.Event(), []

    def measured(*_):
        os.kill(os.getpid(), signal.SIGINT)
        assert told.wait(60)
        raise RuntimeError("nobody waits for this")

    def leave(code):
        ended.append(code)
        told.set()

    monkeypatch.setattr(evaluation, "evaluate", measured)
    monkeypatch.setattr(os, "_exit", leave)
    run = shutil.copytree(whole, tmp_path / "run")
    again = [f"run_dir={run}", "resume=true", "stages=[evaluate]"]
    assert call(monkeypatch, *again) == CTRL_C
    assert ended == [CTRL_C]
    assert read_status(run).status == "interrupted"


def test_sigterm_ends_wandb_as_failed(tmp_path, monkeypatch):
    told_at(monkeypatch, FlowModule, 1)
    options = [*TINY, f"run_dir={tmp_path}/run", f"cache_dir={tmp_path}/cache"]
    assert call(monkeypatch, *options) == SIGTERM
    (file,) = tmp_path.glob("run/wandb/offline-run-*/run-*.wandb")

    def ends() -> list[int]:
        kinds = [(r.WhichOneof("record_type"), r.exit.exit_code) for r in wandb_records(file)]
        return [code for kind, code in kinds if kind == "exit"]

    patience = time.monotonic() + 20  # another process writes the file
    while not ends() and time.monotonic() < patience:
        time.sleep(0.1)
    assert ends() == [1]


def test_sigterm_keeps_the_sums_of_a_pass(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "STATES_AT_ONCE", 1000)
    sums, seen = Discovery.sums, []

    def signalling(self, z):
        seen.append(len(z))
        if len(seen) in (3, 7):
            os.kill(os.getpid(), signal.SIGTERM)
        return sums(self, z)

    options = [*LIBRARY, "data.n=10000", f"cache_dir={tmp_path}/cache"]
    assert call(monkeypatch, *options, f"run_dir={tmp_path}/whole") == 0
    monkeypatch.setattr(Discovery, "sums", signalling)
    assert call(monkeypatch, *options, f"run_dir={tmp_path}/cut") == SIGTERM
    assert call(monkeypatch, f"run_dir={tmp_path}/cut", "resume=true") == SIGTERM
    assert call(monkeypatch, f"run_dir={tmp_path}/cut", "resume=true") == 0
    assert sum(seen) == 7000  # those that are not held out, each once
    assert metrics(tmp_path / "cut") == metrics(tmp_path / "whole")
    assert torch.equal(coefficients(tmp_path / "cut"), coefficients(tmp_path / "whole"))


@pytest.mark.slow
def test_ctrl_c_reaches_both_processes(tmp_path, monkeypatch):
    """A terminal sends it to the whole process group."""
    longer = [*TINY, "flow.projection.steps=600", "epoch_steps=100", "logger=none"]
    longer += ["trainer=ddp_cpu", f"cache_dir={tmp_path}/cache"]
    process = spawn(*longer, f"run_dir={tmp_path}/cut", start_new_session=True)
    last = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    wait_until(process, lambda: at_flow(last, 100))
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1].splitlines()[-1]
    assert process.returncode == CTRL_C
    assert said == f"interrupted; to go on: run_dir={tmp_path}/cut resume=true"
    stage, step = stage_and_step(last)
    assert stage == "flow"
    assert step % 100
    assert call(monkeypatch, f"run_dir={tmp_path}/cut", "resume=true") == 0
    assert call(monkeypatch, *longer, f"run_dir={tmp_path}/whole") == 0
    assert metrics(tmp_path / "cut") == metrics(tmp_path / "whole")


# killed


@pytest.mark.slow  # as after a signal, which is tested at every stage
def test_a_killed_run_resumes_to_what_an_uninterrupted_one_gives(tmp_path, monkeypatch):
    longer = [*TINY, "flow.projection.steps=100", "logger=csv"]
    whole = [f"run_dir={tmp_path}/whole", f"cache_dir={tmp_path}/a"]
    assert call(monkeypatch, *longer, *whole) == 0
    process = spawn(*longer, f"run_dir={tmp_path}/cut", f"cache_dir={tmp_path}/b")
    last = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    while process.poll() is None and not at_flow(last, 10):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "cut" / "checkpoints" / "flow.ckpt").exists()
    half = last.with_name(".last.ckpt.1234")
    half.touch()
    assert call(monkeypatch, f"run_dir={tmp_path}/cut", "resume=true") == 0
    assert not half.exists()
    assert metrics(tmp_path / "cut") == metrics(tmp_path / "whole")
    assert history(tmp_path / "cut", "flow") == history(tmp_path / "whole", "flow")


def test_a_pass_cut_short_goes_on_from_its_sums(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(batches, "STATES_AT_ONCE", 500)
    monkeypatch.setattr(library, "BATCHES_PER_WRITE", 2)
    sums, seen, most = Discovery.sums, [], 100

    def counted(self, z):
        seen.append(len(z))
        if len(seen) > most:
            raise RuntimeError("cut")
        return sums(self, z)

    monkeypatch.setattr(Discovery, "sums", counted)
    options = [*LIBRARY, "data.n=10001", f"cache_dir={tmp_path}/cache"]
    assert call(monkeypatch, *options, f"run_dir={tmp_path}/whole") == 0
    assert sum(seen) == 7001  # those that are not held out
    seen, most = [], 7
    assert call(monkeypatch, *options, f"run_dir={tmp_path}/cut") == 1
    last = f"{tmp_path}/cut/checkpoints/last.ckpt"
    assert call(monkeypatch, *options, f"run_dir={tmp_path}/other", f"ckpt_path={last}") == 2
    assert "unfinished stage" in capfd.readouterr().err
    seen, most = [], 100
    assert call(monkeypatch, f"run_dir={tmp_path}/cut", "resume=true") == 0
    assert sum(seen) == 7001 - 6 * 500
    assert metrics(tmp_path / "cut") == metrics(tmp_path / "whole")
    assert torch.equal(coefficients(tmp_path / "cut"), coefficients(tmp_path / "whole"))


@pytest.mark.slow
@pytest.mark.parametrize("family", kills.FAMILIES)
def test_a_run_killed_at_random_moments_of_its_life_ends_the_same(family, tmp_path):
    assert kills.campaign(tmp_path, kills=15, seed=0, family=family).total() >= 15
