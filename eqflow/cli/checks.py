"""What is refused before a run's folder exists."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from eqflow.cli.exits import exit_codes
from eqflow.cli.resume import check_unchanged
from eqflow.errors import InputError

STAGES = ("score", "flow", "evaluate")


class Checks(Callback):
    """Hydra's hook before a single run; Hydra only warns of exceptions here, hence the exits."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        HydraConfig.instance().set_config(config)
        with exit_codes():
            check(config)
            claim(Path(config.run_dir), config.resume)


def check(cfg: DictConfig) -> None:
    """Build everything that a run is made of and let the constructors refuse.

    Raises ``InputError`` naming the option, what was found and what is expected.
    """
    from eqflow.cli.parts import check_parts

    unknown = [stage for stage in cfg.stages if stage not in STAGES]
    if unknown:
        raise InputError(f"stages: {unknown[0]} is unknown; expected some of {', '.join(STAGES)}")
    if not isinstance(cfg.seed, int) or cfg.seed < 0:
        raise InputError(f"seed={cfg.seed}: expected an integer >= 0")
    if not isinstance(cfg.batch_size, int) or cfg.batch_size < 1:
        raise InputError(f"batch_size={cfg.batch_size}: expected an integer >= 1")
    if cfg.resume:
        check_unchanged(cfg, Path(cfg.run_dir))
    check_device(cfg.trainer.accelerator)
    check_parts(cfg)


def check_device(accelerator: str) -> None:
    """Refuse a device that is not there."""
    import torch

    if accelerator == "gpu" and not torch.cuda.is_available():
        raise InputError("trainer.accelerator=gpu: no GPU found; expected one, or trainer=cpu")


def claim(folder: Path, resume: bool) -> None:
    """Create a new run's folder, which no other run can then take; on resume it must be there."""
    if resume:
        return
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise InputError(
            f"run_dir={folder} exists; expected a new folder, or resume=true to continue it"
        ) from None
    except OSError as error:
        raise InputError(
            f"run_dir={folder}: {error.strerror}; expected a folder to write to"
        ) from None
