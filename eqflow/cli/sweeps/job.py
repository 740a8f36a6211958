"""A job of a sweep: its own folder, the config it shares with others, and whether it is done."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from eqflow.cli.checks import RUN_LOCK, check
from eqflow.cli.processes.nodes import node_rank
from eqflow.cli.resume import RESOLVED_CONFIG
from eqflow.cli.status import Value, read_status
from eqflow.runtime import store

RUN_OPTIONS = ("files", "resume", "run_dir", "sweep_dir", "group", "trial")
"""Options that say only where and when a job ran: the same job may be asked for with others."""


@contextmanager
def exclusive_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of a job's folder, once a job that a killed sweep left behind has ended."""
    with store.locked(folder / RUN_LOCK) if node_rank() == 0 else nullcontext():
        store.remove_leftovers(folder)
        yield


def join_sweep(cfg: DictConfig) -> None:
    """Complete the config of a job by what its sweep decides, in place, then check it.

    It gets the sweep's group and, where jobs run side by side, a GPU. A folder that holds its
    config was left by a process that was stopped: the job is resumed.
    """
    hydra = HydraConfig.get()
    cfg.resume = (Path(cfg.run_dir) / RESOLVED_CONFIG).is_file()
    cfg.group = cfg.group or Path(hydra.sweep.dir).name
    if not hydra.launcher._target_.endswith("BasicLauncher"):  # which runs one job at a time
        take_gpu(cfg.trainer, hydra.job.num)
    check(cfg)


def finished_value(cfg: DictConfig) -> Value:
    """The tuned metric of a job that was finished before with this config; None if it was not."""
    folder = Path(cfg.run_dir)
    status = read_status(folder)
    if status.status != "finished":
        return None
    return status.value if _asked(OmegaConf.load(folder / RESOLVED_CONFIG)) == _asked(cfg) else None


def take_gpu(trainer: DictConfig, number: int) -> None:
    """Leave a single GPU visible to a job that asks for one, in turn over the jobs' numbers."""
    import torch

    count = torch.cuda.device_count()
    if trainer.accelerator == "cpu" or trainer.devices != 1 or count < 2:
        return
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))
    os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[number % count]


def _asked(cfg: object) -> dict[str, object]:
    """A config without the options that say only where and when."""
    content = OmegaConf.to_container(DictConfig(cfg), resolve=True)
    assert isinstance(content, dict)
    return {str(name): value for name, value in content.items() if name not in RUN_OPTIONS}
