"""What is refused before a run's folder exists."""

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from eqflow.errors import InputError

STAGES = ("score", "flow", "evaluate")


class Checks(Callback):
    """Hydra's hook before a single run; Hydra only warns of exceptions here, hence the exit."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        from eqflow.cli import sentence

        try:
            check(config)
            claim(Path(config.run_dir), config.resume)
        except InputError as error:
            print(f"error: {sentence(error)}", file=sys.stderr)
            sys.exit(2)


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
        raise InputError(f"run_dir={folder}: {error.strerror}; expected a folder to write to") from None
