"""What ends a run before its time: signals, kills, full and read-only disks, no network."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from runs import LAW, TINY, call, coefficients, metrics, spawn, stage_and_step, wandb_records

from eqflow.cli import run
from eqflow.discovery import Discovery
from eqflow.training import FlowModule, ScoreModule, library

SIGTERM = 128 + signal.SIGTERM
"""Exit code of a run that was told to end."""

CURVED = [o for o in TINY if "steps" not in o]
CURVED += ["score.training.steps=8", "flow.training.steps=8", "epoch_steps=3"]
CURVED += ["trainer.log_every_n_steps=2"]


# told to end


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        options = [*CURVED, "logger=none", f"run_dir={folder}/run", f"cache_dir={folder}/cache"]
        assert call(patch, *options) == 0
    return folder / "run"


def told_at(monkeypatch, module: type, step: int) -> None:
    """Send this process SIGTERM in the loss of ``step``; validation counts from ``2**31``."""
    loss, left = module.loss, [step]

    def signalling(self, batch, step):
        if step in left:
            left.remove(step)
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(self, batch, step)

    monkeypatch.setattr(module, "loss", signalling)


@pytest.mark.parametrize(
    ("module", "told", "saved"),
    [
        (ScoreModule, 1, ("score", 2)),
        (FlowModule, 0, ("flow", 1)),
        (FlowModule, 4, ("flow", 5)),
        (FlowModule, 2, ("flow", 4)),  # an epoch's end: validated, and a step of the next
        (FlowModule, 2**31, ("flow", 4)),
        (FlowModule, 7, ("flow", 8)),
    ],
)
def test_sigterm_saves_the_step_and_resume_goes_on_from_it(
    module, told, saved, whole, tmp_path, monkeypatch
):
    told_at(monkeypatch, module, told)
    before = signal.getsignal(signal.SIGTERM)
    folder, options = tmp_path / "cut", [*CURVED, "logger=none", f"cache_dir={tmp_path}/cache"]
    assert call(monkeypatch, *options, f"run_dir={folder}") == SIGTERM
    assert stage_and_step(folder / "checkpoints" / "last.ckpt") == saved
    assert not (folder / "checkpoints" / "flow.ckpt").exists()
    assert signal.getsignal(signal.SIGTERM) is before
    assert call(monkeypatch, f"run_dir={folder}", "resume=true") == 0
    assert metrics(folder) == metrics(whole)
    assert history(folder, "score") == history(whole, "score")
    assert history(folder, "flow") == history(whole, "flow")


def history(folder: Path, stage: str) -> list[dict[str, float]]:
    """The curve of a stage's training."""
    path = folder / "checkpoints" / f"{stage}.ckpt"
    return torch.load(path, weights_only=True)["history"]


def test_sigterm_ends_wandb_as_failed(tmp_path, monkeypatch):
    told_at(monkeypatch, FlowModule, 1)
    options = [*TINY, f"run_dir={tmp_path}/run", f"cache_dir={tmp_path}/cache"]
    assert call(monkeypatch, *options) == SIGTERM
    (file,) = tmp_path.glob("run/wandb/offline-run-*/run-*.wandb")
    ends = [r.exit.exit_code for r in wandb_records(file) if r.WhichOneof("record_type") == "exit"]
    assert ends == [1]


def test_sigterm_keeps_the_sums_of_a_pass(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "PASS", 1000)
    sums, seen = Discovery.sums, []

    def signalling(self, z):
        seen.append(len(z))
        if len(seen) in (3, 7):
            os.kill(os.getpid(), signal.SIGTERM)
        return sums(self, z)

    options = [*LAW, "data.n=10000", f"cache_dir={tmp_path}/cache"]
    assert call(monkeypatch, *options, f"run_dir={tmp_path}/whole") == 0
    monkeypatch.setattr(Discovery, "sums", signalling)
    assert call(monkeypatch, *options, f"run_dir={tmp_path}/cut") == SIGTERM
    assert call(monkeypatch, f"run_dir={tmp_path}/cut", "resume=true") == SIGTERM
    assert call(monkeypatch, f"run_dir={tmp_path}/cut", "resume=true") == 0
    assert sum(seen) == 7000  # those that are not held out, each once
    assert metrics(tmp_path / "cut") == metrics(tmp_path / "whole")
    assert torch.equal(coefficients(tmp_path / "cut"), coefficients(tmp_path / "whole"))


@pytest.mark.slow
def test_sigterm_reaches_both_processes(tmp_path, monkeypatch):
    longer = [*TINY[:5], "flow.training.steps=600", "epoch_steps=100", *TINY[7:], "logger=none"]
    longer += ["trainer=ddp_cpu", f"cache_dir={tmp_path}/cache"]
    process = spawn(*longer, f"run_dir={tmp_path}/cut")
    last = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    wait_until(process, lambda: stage_and_step(last) >= ("flow", 100))
    time.sleep(0.3)
    process.terminate()
    assert process.wait(60) == SIGTERM
    stage, step = stage_and_step(last)
    assert stage == "flow"
    assert step % 100
    assert call(monkeypatch, f"run_dir={tmp_path}/cut", "resume=true") == 0
    assert call(monkeypatch, *longer, f"run_dir={tmp_path}/whole") == 0
    assert metrics(tmp_path / "cut") == metrics(tmp_path / "whole")


def wait_until(process: subprocess.Popen, reached) -> None:
    """Return once ``reached()`` while the process runs."""
    while process.poll() is None and not reached():
        time.sleep(0.02)
    assert process.poll() is None, process.stderr.read()


# killed


def test_a_killed_run_resumes_to_what_an_uninterrupted_one_gives(tmp_path, monkeypatch):
    longer = [*TINY[:5], "flow.training.steps=200", *TINY[6:], "logger=csv"]
    whole = [f"run_dir={tmp_path}/whole", f"cache_dir={tmp_path}/a"]
    assert call(monkeypatch, *longer, *whole) == 0
    process = spawn(*longer, f"run_dir={tmp_path}/cut", f"cache_dir={tmp_path}/b")
    last = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    while process.poll() is None and not stage_and_step(last) >= ("flow", 10):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "cut" / "checkpoints" / "flow.ckpt").exists()
    assert call(monkeypatch, f"run_dir={tmp_path}/cut", "resume=true") == 0
    assert metrics(tmp_path / "cut") == metrics(tmp_path / "whole")
    one, other = (
        torch.load(tmp_path / name / "checkpoints" / "flow.ckpt", weights_only=True)
        for name in ("cut", "whole")
    )
    assert one["history"] == other["history"]


def test_a_pass_cut_short_goes_on_from_its_sums(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(run, "PASS", 500)
    monkeypatch.setattr(library, "EVERY", 2)
    sums, seen, most = Discovery.sums, [], 100

    def counted(self, z):
        seen.append(len(z))
        if len(seen) > most:
            raise RuntimeError("cut")
        return sums(self, z)

    monkeypatch.setattr(Discovery, "sums", counted)
    options = [*LAW, "data.n=10001", f"cache_dir={tmp_path}/cache"]
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
