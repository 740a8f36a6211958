"""One rank of a job: ``python -m eqflow.cli.rank <run folder>``, started by the launcher."""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch.distributed.elastic.multiprocessing.errors import record

from eqflow.cli.exits import refused
from eqflow.cli.processes.launch import work
from eqflow.cli.resume import RESOLVED_CONFIG
from eqflow.errors import InputError, Pruned

FAILURE_DELAY = 5.0
"""Seconds that a rank waits before it fails for no known reason: a lost peer's is told first."""


@record
def main(folder: Path) -> None:
    """Join the process group and run the folder's stages."""
    cfg = DictConfig(OmegaConf.load(folder / RESOLVED_CONFIG))
    gpu = cfg.trainer.accelerator != "cpu" and torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if gpu else "gloo", timeout=timedelta(days=1))
    try:
        work(cfg)
    except (InputError, Pruned):
        raise
    except Exception as error:
        if sentence := refused(error, folder):
            raise InputError(sentence) from error
        time.sleep(FAILURE_DELAY)
        raise
    finally:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except (InputError, Pruned):
        sys.exit(2)  # the launcher says why
