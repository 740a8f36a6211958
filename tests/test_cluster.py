"""Several machines and preempted jobs, stood in for by processes on this one."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra_plugins.hydra_submitit_launcher.config import SlurmQueueConf
from omegaconf import OmegaConf
from runs import ROOT, TINY, metrics

from eqflow.cli import CONF
from eqflow.cli.processes.nodes import check_nodes, node_rank, rendezvous
from eqflow.cli.status import read_status
from eqflow.errors import InputError


def run(*overrides: str, **environment: str) -> subprocess.Popen:
    """Start the command line as it would be on a machine with these variables."""
    command = [sys.executable, str(ROOT / "run.py"), *TINY, "logger=none", *overrides]
    return subprocess.Popen(command, env=os.environ | environment, stderr=subprocess.PIPE)


def test_options_for_slurm_are_those_of_the_launcher():
    node = OmegaConf.load(CONF / "hydra" / "launcher" / "submitit_slurm.yaml")
    assert set(node) == {field.name for field in fields(SlurmQueueConf)}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", ["hydra/launcher=submitit_slurm"], return_hydra_config=True)
    assert cfg.hydra.launcher.nodes == 1


@pytest.fixture
def alone(monkeypatch):
    for name in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "SLURM_NODEID", "SLURM_NNODES"):
        monkeypatch.delenv(name, raising=False)


def test_a_machine_knows_its_place_by_hand_and_under_slurm(alone, monkeypatch):
    assert node_rank() == 0
    assert rendezvous(1) == ["--standalone"]
    monkeypatch.setenv("SLURM_NODEID", "1")
    monkeypatch.setenv("SLURM_JOB_ID", "1230042")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "gpu[07-09,12]")
    options = ["--nnodes=4", "--node-rank=1", "--master-addr=gpu07", "--master-port=15042"]
    assert rendezvous(4) == options
    monkeypatch.setenv("NODE_RANK", "3")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "2222")
    options = ["--nnodes=4", "--node-rank=3", "--master-addr=127.0.0.1", "--master-port=2222"]
    assert rendezvous(4) == options


@pytest.mark.parametrize(
    ("nodes", "environment", "named", "says"),
    [
        (0, {}, True, "trainer.num_nodes=0"),
        (2, {}, True, "found neither SLURM nor NODE_RANK"),
        (2, {"SLURM_NNODES": "3"}, True, "found SLURM_NNODES=3"),
        (2, {"SLURM_NNODES": "2"}, False, "run_dir=<folder>"),
    ],
)
def test_machines_that_cannot_meet_are_refused(nodes, environment, named, says, alone, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=says):
        check_nodes(OmegaConf.create({"num_nodes": nodes}), named)


@pytest.mark.slow
def test_two_machines_give_the_numbers_of_one(tmp_path):
    folders = [f"run_dir={tmp_path}/two", f"cache_dir={tmp_path}/c2"]
    options = ["trainer=ddp_cpu", "trainer.devices=1", "trainer.num_nodes=2", *folders]
    meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517"}
    machines = [run(*options, NODE_RANK=str(k), **meet) for k in (0, 1)]
    alone = run("trainer=cpu", f"run_dir={tmp_path}/one", f"cache_dir={tmp_path}/c1")
    for process in (*machines, alone):
        assert process.wait() == 0, process.stderr.read().decode()
    assert metrics(tmp_path / "two") == pytest.approx(metrics(tmp_path / "one"), rel=1e-5)


@pytest.mark.slow
def test_a_preempted_job_is_submitted_again_and_goes_on(tmp_path):
    """submitit's local executor sends its jobs the signal that a preempting SLURM would."""
    longer = [
        "logger=none",
        "flow.training.steps=4000",
        "epoch_steps=100",
        f"cache_dir={tmp_path}/c",
    ]
    command = [sys.executable, str(ROOT / "run.py"), "-m", *TINY, *longer]
    sweep = [f"sweep_dir={tmp_path}/s", "hydra/launcher=submitit_local"]
    process = subprocess.Popen([*command, *sweep])
    last = tmp_path / "s" / "0" / "checkpoints" / "last.ckpt"
    while not (last.is_file() and last.stat().st_size):
        assert process.poll() is None
        time.sleep(0.2)
    time.sleep(2)
    (job,) = submitted(tmp_path)
    os.kill(job, signal.SIGUSR2)
    assert process.wait() == 0
    (log,) = (tmp_path / "s" / ".submitit").glob("*/*_log.out")
    assert "Requeued job" in log.read_text()
    assert read_status(tmp_path / "s" / "0").status == "finished"
    whole = subprocess.run([*command[:2], *TINY, *longer, f"run_dir={tmp_path}/w"], check=True)
    assert whole.returncode == 0
    assert metrics(tmp_path / "s" / "0") == metrics(tmp_path / "w")


def submitted(folder: Path) -> list[int]:
    """Processes that run submitit's jobs of a folder."""
    jobs = []
    for place in Path("/proc").glob("[0-9]*"):
        command = (place / "cmdline").read_bytes().split(b"\0")
        if b"submitit.core._submit" in command and str(folder).encode() in command[-2]:
            jobs.append(int(place.name))
    return jobs
