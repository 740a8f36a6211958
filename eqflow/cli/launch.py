"""One process or several: ranks start from the job's composed config, not its command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from eqflow.cli.resume import RESOLVED
from eqflow.errors import InputError


def launch(cfg: DictConfig) -> float | None:
    """Run the job here, or in one process per device, and return the tuned metric."""
    from eqflow.store import replacing

    folder = Path(cfg.run_dir)
    with replacing(folder / RESOLVED) as temporary:
        OmegaConf.save(cfg, temporary)
    devices = cfg.trainer.devices
    if isinstance(devices, int) and devices > 1 and "LOCAL_RANK" not in os.environ:
        _spawn(folder, devices)
    else:
        work(cfg)
    metrics = json.loads((folder / "metrics.json").read_text()) if "evaluate" in cfg.stages else {}
    if cfg.metric and metrics and cfg.metric not in metrics:
        raise InputError(
            f"metric={cfg.metric} was not measured; expected one of {', '.join(metrics)}"
        )
    return metrics.get(cfg.metric)


def work(cfg: DictConfig) -> None:
    """Run the stages in this process."""
    from eqflow.cli.run import Run

    Run(cfg, Path(cfg.run_dir)).execute()


def _spawn(folder: Path, processes: int) -> None:
    command = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    arguments = [sys.executable, "-m", *command, "-m", "eqflow.cli.rank", str(folder)]
    done = subprocess.run(arguments, env=environment)
    if done.returncode:
        raise RuntimeError(f"a process of {folder} failed with exit code {done.returncode}")
