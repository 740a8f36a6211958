"""The command line: compose a config, run its stages, return the tuned metric."""

import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from eqflow.cli.exits import exit_codes
from eqflow.cli.resume import with_stored_overrides

_HERE = Path(__file__).resolve()
CONF = next(
    path for path in (_HERE.parents[1] / "conf", _HERE.parents[2] / "conf") if path.is_dir()
)
"""The configuration: inside the installed package, or beside it in a checkout."""


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(cfg: DictConfig) -> float | None:
    """Run one composed configuration; its folder exists, its checks are done."""
    from eqflow.cli.checks import check
    from eqflow.cli.launch import launch

    if HydraConfig.get().mode is RunMode.MULTIRUN:
        check(cfg)
    cfg.run_dir = HydraConfig.get().runtime.output_dir
    OmegaConf.resolve(cfg)
    return launch(cfg)


def main() -> None:
    """Entry point of ``run.py`` and of the console command ``eqflow``."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises instead of exiting with 1
    # threads that spin while they wait make small layers tens of times slower on a busy machine
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with exit_codes():
        sys.argv[1:] = with_stored_overrides(sys.argv[1:])
        job()
