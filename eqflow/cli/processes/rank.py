"""A rank of a job: ``python -m eqflow.cli.processes.rank <run folder>``, started by torchrun."""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch.distributed.elastic.multiprocessing.errors import record

from eqflow.cli.exits import disk_refusal
from eqflow.cli.logs import speak_as_rank
from eqflow.cli.processes.launch import work
from eqflow.cli.resume import RESOLVED_CONFIG
from eqflow.errors import InputError, Pruned
from eqflow.runtime import rank_and_world

FAILURE_DELAY = 5.0
"""Seconds that a rank waits before it fails with a bug.

A peer that it lost has then reported its own reason, and torchrun keeps the first."""


@record
def main(folder: Path, delay: float = FAILURE_DELAY) -> None:
    """Join the process group and run the stages of the folder's config."""
    cfg = DictConfig(OmegaConf.load(folder / RESOLVED_CONFIG))
    gpu = cfg.trainer.accelerator != "cpu" and torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if gpu else "gloo", timeout=timedelta(days=1))
    speak_as_rank(folder, rank_and_world()[0])
    try:
        work(cfg)
    except (InputError, Pruned):
        raise
    except Exception as error:
        if sentence := disk_refusal(error, folder):
            raise InputError(sentence) from error
        time.sleep(delay)
        raise
    finally:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except (InputError, Pruned):
        sys.exit(2)  # the launcher prints the reason
