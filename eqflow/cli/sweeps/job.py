"""A job as one of a sweep: what it shares with the others, and what it need not do again."""

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

ASIDE = ("files", "resume", "run_dir", "sweep_dir", "group", "trial")
"""What says only where and when a job ran: it may differ where the same job is asked for again."""


ONE_BY_ONE = "BasicLauncher"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Have a job's folder to itself; waits for one that a sweep left behind when it was killed."""
    with store.locked(folder / RUN_LOCK) if node_rank() == 0 else nullcontext():
        store.remove_leftovers(folder)
        yield


def joined(cfg: DictConfig) -> None:
    """Make ``cfg`` one of its sweep's jobs, then check it.

    A folder that holds its config is its own, left by a process that was stopped: it is resumed.
    """
    hydra = HydraConfig.get()
    cfg.resume = (Path(cfg.run_dir) / RESOLVED_CONFIG).is_file()
    cfg.group = cfg.group or Path(hydra.sweep.dir).name
    if not hydra.launcher._target_.endswith(ONE_BY_ONE):
        take_gpu(cfg.trainer, hydra.job.num)
    check(cfg)


def finished_value(cfg: DictConfig) -> Value:
    """The tuned metric where this very job was finished before; None where it was not."""
    folder = Path(cfg.run_dir)
    found = read_status(folder)
    if found.status != "finished":
        return None
    return found.value if _asked(OmegaConf.load(folder / RESOLVED_CONFIG)) == _asked(cfg) else None


def take_gpu(trainer: DictConfig, number: int) -> None:
    """Leave one GPU visible to a job that asks for one, a different one to each neighbour."""
    import torch

    count = torch.cuda.device_count()
    if trainer.accelerator == "cpu" or trainer.devices != 1 or count < 2:
        return
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))
    os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[number % count]


def _asked(cfg: object) -> dict[str, object]:
    """What a config asks for, without what only says where and when."""
    content = OmegaConf.to_container(DictConfig(cfg), resolve=True)
    assert isinstance(content, dict)
    return {str(name): value for name, value in content.items() if name not in ASIDE}
