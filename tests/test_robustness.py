"""What a run meets beside its work: full and read-only disks, other processes, no network."""

import errno
import logging
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from runs import CURVED, ROOT, TINY, call, metrics, spawn, wait_until

from eqflow.cli.processes import launch, rank
from eqflow.cli.resume import RESOLVED_CONFIG
from eqflow.errors import InputError, Pruned

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
    cache = disk("size=16k") / "cache"
    options = [*TINY, "logger=none", f"cache_dir={cache}", f"run_dir={tmp_path}/run"]
    assert call(monkeypatch, *options) == 2
    assert refusal(capfd).startswith(f"error: {cache}/score/")
    disk("remount,size=9m")
    assert call(monkeypatch, f"run_dir={tmp_path}/run", "resume=true") == 0


@pytest.mark.slow
def test_a_full_cache_is_one_sentence_also_of_several_processes(disk, tmp_path):
    cache, folder = disk("size=16k") / "cache", tmp_path / "run"
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
