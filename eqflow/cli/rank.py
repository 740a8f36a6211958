"""One rank of a job: ``python -m eqflow.cli.rank <run folder>``, started by the launcher."""

import sys
from datetime import timedelta
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from eqflow.cli.launch import work
from eqflow.cli.resume import RESOLVED


def main(folder: Path) -> None:
    """Join the process group and run the folder's stages."""
    cfg = DictConfig(OmegaConf.load(folder / RESOLVED))
    gpu = cfg.trainer.accelerator != "cpu" and torch.cuda.is_available()
    torch.distributed.init_process_group("nccl" if gpu else "gloo", timeout=timedelta(days=1))
    try:
        work(cfg)
    finally:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
