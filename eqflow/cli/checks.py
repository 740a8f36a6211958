"""Checks of a configuration before its run folder is created, and the lock of the folder."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from filelock import Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from eqflow.cli import CONF
from eqflow.cli.exits import exit_codes
from eqflow.cli.processes.nodes import check_nodes, node_rank
from eqflow.cli.resume import RESOLVED_CONFIG, check_unchanged
from eqflow.cli.types import check_types
from eqflow.errors import InputError

RUN_LOCK = Path(".hydra") / "run"
"""Path below a run's folder that is locked by the process which fills the folder."""


STAGES = ("score", "flow", "evaluate")
"""Stages of a run, in their order."""


MEASURED = (
    *("beside", "null", "time", "preservation", "residual", "stationarity", "orientation"),
    *("spectrum", "selection", "bootstrap", "noise", "chaos", "truth", "network", "velocities"),
    *("fields", "displacement", "pairs", "similarity", "behaviour"),
)
"""What names of measures begin with; those from outside the package may begin with anything."""


LOCKS = ExitStack()
"""Locks of the folders that are filled; no callback of Hydra learns of an interruption."""


class Checks(Callback):
    """Callback of Hydra that checks a single run and locks its folder.

    Hydra only warns of an exception in a callback, so that the program is ended here. The jobs of a
    sweep are checked by its sweeper, which reads ``${hydra:...}`` before Hydra has set it.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        HydraConfig.instance().set_config(config)

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        HydraConfig.instance().set_config(config)
        with exit_codes():
            check(config)
            if node_rank() == 0:
                claim(Path(config.run_dir), config.resume)


def check(cfg: DictConfig) -> None:
    """Raise ``InputError`` for a configuration that cannot run.

    Options are checked one after another; then every part of the run is built, whose constructors
    check theirs.
    """
    keep_caches_in(Path(cfg.cache_dir).resolve())  # before the parts import their libraries
    from eqflow.cli.parts import check_parts

    check_stages(cfg)
    check_metric(cfg.metric, watched=bool(cfg.protocol.behaviour and "icon" in cfg.data))
    hydra = HydraConfig.get()
    check_types(cfg, CONF, hydra.runtime.choices)
    check_seeds(cfg)
    if cfg.resume:
        check_unchanged(cfg, Path(cfg.run_dir))
    if cfg.threads < 1:
        raise InputError(f"threads={cfg.threads}: expected a whole number >= 1")
    check_devices(cfg.trainer)
    check_processes(cfg)
    folder_given = any(option.startswith("run_dir=") for option in hydra.overrides.task)
    check_nodes(cfg.trainer, folder_given or hydra.mode is RunMode.MULTIRUN)
    check_parts(cfg)


def check_seeds(cfg: DictConfig) -> None:
    """Raise ``InputError`` for a seed that no generator takes."""
    for name in ("seed", "flow.seed", "protocol.seed"):
        seed = OmegaConf.select(cfg, name, default=0)
        if not isinstance(seed, int) or not 0 <= seed < 2**32:
            raise InputError(f"{name}={seed}: expected an integer >= 0 and below 2**32")


def check_metric(metric: str | Sequence[str] | None, watched: bool) -> None:
    """Raise ``InputError`` for a metric of no topic that is measured, before the run is made.

    Behaviour is measured where objects are ``watched``.
    """
    from eqflow.evaluation import FURTHER_MEASURES

    for name in [metric] if isinstance(metric, str) else metric or []:
        if name.split("/")[0] not in MEASURED and not FURTHER_MEASURES:
            raise InputError(
                f"metric={name} is no measure; expected a name of metrics.json, as "
                "preservation/rank or residual/relative (docs/measures.md)"
            )
        if name.startswith("behaviour/") and not watched:
            raise InputError(
                f"metric={name} needs objects that are watched, found none; "
                "expected data=icons and protocol.behaviour > 0, as in experiment=alife"
            )


def check_stages(cfg: DictConfig) -> None:
    """Raise ``InputError`` for unknown stages, and for an evaluation without a trained field."""
    stages = cfg.stages if isinstance(cfg.stages, ListConfig) else [cfg.stages]
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown or not isinstance(cfg.stages, ListConfig):
        wrong = unknown[0] if unknown else cfg.stages
        raise InputError(f"stages: {wrong} is unknown; expected a list of {', '.join(STAGES)}")
    if "evaluate" in stages and "flow" not in stages and not cfg.resume:
        raise InputError("stages: evaluate found without flow; expected both, or resume=true")


def check_devices(trainer: DictConfig) -> None:
    """Raise ``InputError`` for devices that this machine does not have."""
    import torch

    if not isinstance(trainer.devices, int) or trainer.devices < 1:
        raise InputError(f"trainer.devices={trainer.devices}: expected an integer >= 1")
    gpus = torch.cuda.device_count()
    if trainer.accelerator == "gpu" and gpus < trainer.devices:
        raise InputError(
            "trainer.accelerator=gpu: no GPU found; expected one, or trainer=cpu"
            if not gpus
            else f"trainer.devices={trainer.devices}: found {gpus} GPUs; expected at most that many"
        )


def check_processes(cfg: DictConfig) -> None:
    """Raise ``InputError`` for an ensemble in several processes: it is vectorised in one."""
    processes, members = cfg.trainer.devices * cfg.trainer.num_nodes, cfg.flow.get("ensemble", 1)
    if members > 1 and processes > 1:
        raise InputError(
            f"flow.ensemble={members} trains in one process, found {processes} "
            "(trainer.devices, trainer.num_nodes); expected one, as with trainer=auto"
        )


def claim(folder: Path, resume: bool, option: str = "run_dir") -> None:
    """Lock a run's folder until ``LOCKS`` closes; it must be new, unless the run is resumed.

    Raises ``InputError`` that names ``option`` for a folder that exists, is in use, or cannot be
    written.
    """
    from eqflow.runtime import locked, remove_leftovers

    try:
        if not (resume or _is_new(folder)):
            raise InputError(
                f"{option}={folder} exists; expected a new folder, or resume=true to continue it"
            )
        lock = locked(folder / RUN_LOCK)
        lock.acquire(blocking=False)
        LOCKS.callback(lock.release)
        remove_leftovers(folder)
    except Timeout:
        raise InputError(
            f"{option}={folder} is in use by another process; expected to run after its end"
        ) from None
    except OSError as error:
        raise InputError(
            f"{option}={folder}: {error.strerror}; expected a folder to write to"
        ) from None


def _is_new(folder: Path) -> bool:
    """Whether a folder is absent, or holds only files that are written before a run starts.

    Those are Hydra's, and in a cache inside the folder (``debug=one_batch``) those of libraries.
    """
    if not folder.exists():
        return True
    early = {RESOLVED_CONFIG.parent.name, "run.log", "cache"}
    names = {path.name for path in folder.iterdir()}
    return names <= early and not (folder / RESOLVED_CONFIG).exists()


def keep_caches_in(folder: Path) -> None:
    """Direct the caches of libraries to ``folder`` instead of the user's home."""
    for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "MPLCONFIGDIR", "NUMBA_CACHE_DIR"):
        os.environ.setdefault(name, str(folder / name.split("_")[0].lower()))
