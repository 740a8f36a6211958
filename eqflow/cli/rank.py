"""One rank of a job: ``python -m eqflow.cli.rank <run folder>``, started by the launcher."""

import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch.distributed.elastic.multiprocessing.errors import record

from eqflow.cli.exits import exit_codes
from eqflow.cli.launch import work
from eqflow.cli.resume import RESOLVED


@record
def main(folder: Path) -> None:
    """Join the process group and run the folder's stages."""
    cfg = DictConfig(OmegaConf.load(folder / RESOLVED))
    gpu = cfg.trainer.accelerator != "cpu" and torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if gpu else "gloo", timeout=timedelta(days=1))
    try:
        work(cfg)
    finally:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    with exit_codes():
        main(Path(sys.argv[1]))
