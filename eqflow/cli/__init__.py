"""The command line: compose a config, run its stages, return the tuned metric."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path

from hydra import main as hydra_main
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from eqflow.cli.exits import exit_codes, interruptible
from eqflow.cli.resume import with_stored_overrides
from eqflow.version import __version__

_HERE = Path(__file__).resolve()
CONF = next(
    path for path in (_HERE.parents[1] / "conf", _HERE.parents[2] / "conf") if path.is_dir()
)
"""Folder of the configuration: inside the installed package, or beside it in a checkout."""


@hydra_main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(cfg: DictConfig) -> float | list[float] | None:
    """Run a composed configuration, keep its status in its folder, and return the tuned metric."""
    from eqflow.cli.processes.launch import launch
    from eqflow.cli.status import recorded
    from eqflow.cli.sweeps.job import exclusive_folder, finished_value, join_sweep

    hydra = HydraConfig.get()
    cfg.run_dir, member = hydra.runtime.output_dir, hydra.mode is RunMode.MULTIRUN
    folder = Path(cfg.run_dir)
    with exclusive_folder(folder) if member else nullcontext():
        if member and (value := finished_value(cfg)) is not None:
            return value
        with recorded(folder) as state:
            if member:
                join_sweep(cfg)
            OmegaConf.resolve(cfg)
            state.value = launch(cfg)
        return state.value


def main() -> None:
    """Entry point of ``run.py`` and of the console command ``eqflow``."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises instead of exiting with 1
    # threads that spin while waiting make small layers tens of times slower on a busy machine
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if "--version" in sys.argv[1:]:
        return print(f"eqflow {__version__}")
    from eqflow.cli.checks import LOCKS

    with interruptible(), exit_codes(), LOCKS:
        for argument in sys.argv[1:]:
            if argument.startswith("report="):
                return _rebuild(Path(argument.removeprefix("report=")))
        sys.argv[1:] = with_stored_overrides(_with_best(sys.argv[1:]))
        _register_sweepers()
        job()


def _register_sweepers() -> None:
    """Tell Hydra of the sweepers, which it does not see among plugins in an editable install."""
    from hydra.core.plugins import Plugins

    plugins = Plugins.instance()  # before the import: its search executes modules again
    from hydra_plugins.eqflow_sweepers.grid import GridSweeper
    from hydra_plugins.eqflow_sweepers.search import OptunaSweeper

    for sweeper in (GridSweeper, OptunaSweeper):
        plugins.register(sweeper)


def _with_best(arguments: list[str]) -> list[str]:
    """Arguments in which ``best=<sweep's folder>`` is replaced by the options of its best job."""
    named = [argument for argument in arguments if argument.startswith("best=")]
    if not named:
        return arguments
    from eqflow.cli.sweeps.best import overrides_of_best

    given = [argument for argument in arguments if argument not in named]
    return overrides_of_best(Path(named[-1].removeprefix("best=")), given)


def _rebuild(folder: Path) -> None:
    """Write the page of a finished sweep again."""
    from eqflow.cli.sweeps.page import rebuild

    rebuild(folder)
