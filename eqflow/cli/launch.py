"""One process or several: ranks start from the job's composed config, not its command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from eqflow.cli.exits import on_sigterm, stop
from eqflow.cli.resume import RESOLVED, user_files
from eqflow.errors import InputError

METRICS = ("residual/relative", "stationarity/effect_size")
"""What a job returns if no metric is named: the first that was measured."""


def launch(cfg: DictConfig) -> float | None:
    """Run the job here, or in one process per device, and return the tuned metric."""
    from eqflow.store import replacing

    folder = Path(cfg.run_dir)
    stored = OmegaConf.merge(
        OmegaConf.create(OmegaConf.to_container(cfg)), {"files": user_files(cfg)}
    )
    with replacing(folder / RESOLVED) as temporary:
        OmegaConf.save(stored, temporary)
    _keep_caches_in(Path(cfg.cache_dir).resolve())
    devices = cfg.trainer.devices
    if devices > 1 and "LOCAL_RANK" not in os.environ:
        _spawn(folder, devices)
    else:
        work(cfg)
    metrics = json.loads((folder / "metrics.json").read_text()) if "evaluate" in cfg.stages else {}
    if cfg.metric and metrics and cfg.metric not in metrics:
        raise InputError(
            f"metric={cfg.metric} was not measured; expected one of {', '.join(metrics)}"
        )
    return next((metrics[name] for name in (cfg.metric, *METRICS) if name in metrics), None)


def _keep_caches_in(folder: Path) -> None:
    """Have the libraries' caches inside ours instead of the user's home."""
    for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "MPLCONFIGDIR"):
        os.environ.setdefault(name, str(folder / name.split("_")[0].lower()))


def work(cfg: DictConfig) -> None:
    """Run the stages in this process."""
    from eqflow.cli.run import Run

    with on_sigterm(stop):
        Run(cfg, Path(cfg.run_dir)).execute()


def _spawn(folder: Path, processes: int) -> None:
    command = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    arguments = [sys.executable, "-m", *command, "-m", "eqflow.cli.rank", str(folder)]
    ranks = subprocess.Popen(arguments, env=environment)
    try:
        with on_sigterm(stop):
            code = ranks.wait()
    finally:
        ranks.terminate()
        ranks.wait()  # they save what they trained
    if code:
        raise RuntimeError(f"a process of {folder} failed with exit code {code}")
