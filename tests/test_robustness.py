"""What ends a run before its time: signals, kills, full and read-only disks, no network."""

import errno
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from runs import (
    LIBRARY,
    ROOT,
    TINY,
    call,
    coefficients,
    metrics,
    spawn,
    stage_and_step,
    wandb_records,
)

from benchmarks import kills
from eqflow.cli import evaluation
from eqflow.cli.processes import launch, rank
from eqflow.cli.resume import RESOLVED_CONFIG
from eqflow.cli.status import read_status
from eqflow.discovery import Discovery
from eqflow.errors import InputError, Pruned
from eqflow.signals import ENDING
from eqflow.training import FlowModule, ScoreModule, batches, library

SIGTERM, CTRL_C = 128 + signal.SIGTERM, 128 + signal.SIGINT
"""Exit codes of a run that was told to end."""

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
        (FlowModule, 0, signal.SIGTERM, ("flow", 1)),
        (FlowModule, 4, signal.SIGINT, ("flow", 5)),
        # an epoch's end: validated, and a step of the next
        (FlowModule, 2, signal.SIGTERM, ("flow", 4)),
        (FlowModule, 2**31, signal.SIGINT, ("flow", 4)),
        (FlowModule, 7, signal.SIGTERM, ("flow", 8)),
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
    assert history(folder, "score") == history(whole, "score")
    assert history(folder, "flow") == history(whole, "flow")


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
    ends = [r.exit.exit_code for r in wandb_records(file) if r.WhichOneof("record_type") == "exit"]
    assert ends == [1]


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
    longer = [*TINY[:5], "flow.training.steps=600", "epoch_steps=100", *TINY[7:], "logger=none"]
    longer += ["trainer=ddp_cpu", f"cache_dir={tmp_path}/cache"]
    process = spawn(*longer, f"run_dir={tmp_path}/cut", start_new_session=True)
    last = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    wait_until(process, lambda: stage_and_step(last) >= ("flow", 100))
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


def wait_until(process: subprocess.Popen, reached) -> None:
    """Return once ``reached()`` while the process runs."""
    while process.poll() is None and not reached():
        time.sleep(0.02)
    assert process.poll() is None, process.stderr.read()


# killed


def test_a_killed_run_resumes_to_what_an_uninterrupted_one_gives(tmp_path, monkeypatch):
    longer = [*TINY[:5], "flow.training.steps=100", *TINY[6:], "logger=csv"]
    whole = [f"run_dir={tmp_path}/whole", f"cache_dir={tmp_path}/a"]
    assert call(monkeypatch, *longer, *whole) == 0
    process = spawn(*longer, f"run_dir={tmp_path}/cut", f"cache_dir={tmp_path}/b")
    last = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    while process.poll() is None and not stage_and_step(last) >= ("flow", 10):
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


# disks


@pytest.fixture
def disk(tmp_path):
    """A function that mounts a disk of a given size, or mounts it anew with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting is not permitted")
        return folder

    yield mount
    subprocess.run(["umount", "-l", str(folder)], capture_output=True)


def refusal(capfd) -> str:
    """What standard error of this process says."""
    return one_sentence(capfd.readouterr().err)


def one_sentence(text: str) -> str:
    """The one sentence that a text ends with."""
    lines = text.splitlines()
    assert not [line for line in lines if line.startswith(("Traceback", "--- Logging error"))]
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    return lines[-1]


@pytest.mark.parametrize(
    ("size", "logger", "file"),
    [
        pytest.param("4k", "none", "", marks=pytest.mark.slow),  # not even Hydra's files
        ("64k", "csv", "/checkpoints/last.ckpt"),
        pytest.param("24k", "wandb", "/wandb/id", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_is_one_sentence_and_freed_the_run_goes_on(
    size, logger, file, disk, whole, tmp_path
):
    """In processes of their own: W&B keeps a log on the full disk open until its process ends."""
    folder = disk(f"size={size}") / "run"
    cut = [*CURVED, f"logger={logger}", f"cache_dir={tmp_path}/cache", f"run_dir={folder}"]
    first = spawn(*cut)
    said = one_sentence(first.communicate()[1])
    assert first.returncode == 2
    assert said.startswith(f"error: {folder}{file}: No space left on device; free some space, then")
    disk("remount,size=9m")
    again = cut if "the same command" in said else [f"run_dir={folder}", "resume=true"]
    assert spawn(*again).wait() == 0
    assert metrics(folder) == metrics(whole)


def test_libraries_keep_their_caches_out_of_the_user_s_home(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    caches = ("MPLCONFIGDIR", "NUMBA_CACHE_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR")
    environment = {k: v for k, v in os.environ.items() if k not in caches and "XDG" not in k}
    options = [*TINY, "logger=none", f"cache_dir={tmp_path}/cache", f"run_dir={tmp_path}/run"]
    process = spawn(*options, "stages=[score]", env=environment | {"HOME": str(home)})
    process.communicate()
    assert process.returncode == 0
    assert not list(home.iterdir())


@pytest.mark.parametrize("free", [8, 50, 100])
def test_a_disk_that_fills_up_in_the_evaluation(free, disk, tmp_path, monkeypatch, capfd):
    folder = disk("size=9m") / "run"
    options = [*TINY, "logger=none", f"cache_dir={tmp_path}/cache", f"run_dir={folder}"]
    assert call(monkeypatch, *options, "stages=[score,flow]") == 0
    filling = folder.parent / "filling"
    filling.write_bytes(bytes(os.statvfs(folder).f_bavail * 4096 - free * 1024))
    resume = [f"run_dir={folder}", "resume=true", "stages=[evaluate]"]
    capfd.readouterr()
    assert call(monkeypatch, *resume) == 2
    assert refusal(capfd).endswith(f"free some space, then run_dir={folder} resume=true")
    filling.unlink()
    assert call(monkeypatch, *resume) == 0


def test_a_full_cache_is_named(disk, tmp_path, monkeypatch, capfd):
    cache = disk("size=64k") / "cache"
    options = [*TINY, "logger=none", f"cache_dir={cache}", f"run_dir={tmp_path}/run"]
    assert call(monkeypatch, *options) == 2
    assert refusal(capfd).startswith(f"error: {cache}/score/")
    disk("remount,size=9m")
    assert call(monkeypatch, f"run_dir={tmp_path}/run", "resume=true") == 0


@pytest.mark.slow
def test_a_full_cache_is_one_sentence_also_of_several_processes(disk, tmp_path):
    cache, folder = disk("size=64k") / "cache", tmp_path / "run"
    options = [*TINY, "trainer=ddp_cpu", "logger=none", f"cache_dir={cache}", f"run_dir={folder}"]
    process = spawn(*options)
    said = one_sentence(process.communicate()[1])
    assert process.returncode == 2
    assert said.startswith(f"error: {cache}/score/")
    assert said.endswith(f"free some space, then run_dir={folder} resume=true")
    disk("remount,size=9m")
    assert spawn(f"run_dir={folder}", "resume=true").wait() == 0


@pytest.fixture
def failed(tmp_path, monkeypatch):
    """What the launcher makes of an error that ends a rank, which is run in this process."""
    for name in ("init_process_group", "destroy_process_group"):
        monkeypatch.setattr(torch.distributed, name, lambda *_, **__: None)
    monkeypatch.setenv(launch.FAILURE_FILE_VARIABLE, f"{tmp_path}/failure.json")
    (tmp_path / RESOLVED_CONFIG).parent.mkdir()
    (tmp_path / RESOLVED_CONFIG).write_text("trainer: {accelerator: cpu}")

    def end(error: Exception) -> Exception:
        def work(cfg):
            raise error

        monkeypatch.setattr(rank, "work", work)
        with pytest.raises((InputError, Pruned, KeyError)):
            rank.main(tmp_path, delay=0.0)
        return launch._reason(tmp_path / "failure.json", 1)

    return end


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "No space left on device; free some space"),
        (errno.EACCES, "Permission denied; make it writable"),
    ],
)
def test_a_disk_that_refuses_another_process_is_one_sentence(number, says, failed, tmp_path):
    error = RuntimeError("not saved")
    error.__cause__ = OSError(number, os.strerror(number), "/there/x.ckpt")
    reason = failed(error)
    assert isinstance(reason, InputError)
    assert str(reason) == f"/there/x.ckpt: {says}, then run_dir={tmp_path} resume=true"


def test_other_ends_of_a_process_keep_their_kind(failed):
    for kind in (InputError, Pruned):
        reason = failed(kind("worse: than others"))
        assert (type(reason), str(reason)) == (kind, "worse: than others")
    reason = failed(KeyError("x"))
    assert (type(reason), str(reason)) == (RuntimeError, "a process failed: KeyError: 'x'")


@pytest.mark.parametrize("option", ["run_dir", "cache_dir"])
def test_a_read_only_folder_is_one_sentence(option, disk, tmp_path, monkeypatch, capfd):
    folder = disk("size=9m,ro") / "there"
    places = {"run_dir": tmp_path / "run", "cache_dir": tmp_path / "cache", option: folder}
    options = [*TINY, "logger=none", *(f"{name}={place}" for name, place in places.items())]
    assert call(monkeypatch, *options) == 2
    said = refusal(capfd)
    assert f"{folder}" in said
    assert "Read-only file system" in said
    disk("remount,rw")
    again = [f"run_dir={places['run_dir']}", "resume=true"] if "resume" in said else options
    assert call(monkeypatch, *again) == 0
    if option == "run_dir":
        for handler in logging.getLogger().handlers:
            handler.close()  # run.log: what is open for writing cannot become read-only
        disk("remount,ro")
        assert call(monkeypatch, f"run_dir={folder}", "resume=true") == 2
        assert "Read-only file system" in refusal(capfd)


# one cache, two processes


def started(folder: Path, name: str, *options: str) -> subprocess.Popen:
    """A run of its own process and folder, on the cache of others."""
    longer = [*CURVED, "score.training.steps=150", "epoch_steps=150", "logger=none"]
    return spawn(*longer, f"cache_dir={folder}/cache", f"run_dir={folder}/{name}", *options)


def trained(folder: Path) -> bool:
    """Whether a run trained its score itself."""
    return "taken from the cache" not in (folder / "run.log").read_text()


def test_two_processes_train_a_score_once(tmp_path):
    processes = [started(tmp_path, name) for name in ("one", "two")]
    assert [process.wait(300) for process in processes] == [0, 0]
    first, second = tmp_path / "one", tmp_path / "two"
    assert [trained(first), trained(second)].count(True) == 1
    assert metrics(first) == metrics(second)
    assert len(list((tmp_path / "cache" / "score").glob("*.ckpt"))) == 1


@pytest.mark.slow
def test_the_death_of_who_trains_the_score_lets_the_other_go_on(tmp_path):
    first = started(tmp_path, "first", "score.training.steps=100000")
    wait_until(first, lambda: (tmp_path / "first/checkpoints/last.ckpt").exists())
    second = started(tmp_path, "second", "score.training.steps=100000", "stages=[score]")
    wait_until(second, lambda: (tmp_path / "second/.hydra/resolved.yaml").exists())
    time.sleep(1)
    assert not (tmp_path / "second/checkpoints").exists()
    first.kill()
    wait_until(second, lambda: (tmp_path / "second/checkpoints/last.ckpt").exists())
    second.kill()


def test_a_folder_in_use_is_refused(tmp_path, monkeypatch, capfd):
    first = started(tmp_path, "first", "score.training.steps=100000")
    wait_until(first, lambda: (tmp_path / "first/.hydra/resolved.yaml").exists())
    assert call(monkeypatch, f"run_dir={tmp_path}/first", "resume=true") == 2
    assert refusal(capfd).endswith("in use by another process; expected to run after its end")
    first.kill()


# no network


def test_a_connection_to_another_machine_is_noticed(offline):
    with socket.socket() as client, pytest.raises(ConnectionRefusedError, match="no network"):
        client.connect(("192.0.2.1", 80))
    assert offline.pop() == ("192.0.2.1", 80)


@pytest.mark.slow
def test_the_default_run_needs_no_network(tmp_path):
    alone = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("a network namespace is not permitted")
    small = [option for option in TINY if not option.startswith("experiment")]
    folders = [f"run_dir={tmp_path}/run", f"cache_dir={tmp_path}/cache"]
    command = [*alone, sys.executable, str(ROOT / "run.py"), *small, *folders]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert list(tmp_path.glob("run/wandb/offline-run-*/run-*.wandb"))


@pytest.mark.slow
@pytest.mark.parametrize("family", kills.FAMILIES)
def test_a_run_killed_at_random_moments_of_its_life_ends_the_same(family, tmp_path):
    assert kills.campaign(tmp_path, kills=15, seed=0, family=family).total() >= 15
