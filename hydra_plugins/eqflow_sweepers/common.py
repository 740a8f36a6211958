"""Steps of both sweepers before the first job and after the last."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import which

from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, flag_override, open_dict, read_write

from eqflow.cli.checks import check, claim
from eqflow.cli.resume import SWEEP_CONFIG
from eqflow.errors import InputError


def pin_folder(config: DictConfig) -> None:
    """Give all jobs the folder of the sweep, whose name may depend on an option that is swept."""
    folder = str(config.hydra.sweep.dir)
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.sweep.dir = folder
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir='{folder}'")
    HydraConfig.instance().set_config(config)


def check_jobs(context: HydraContext, config: DictConfig, jobs: Sequence[Sequence[str]]) -> None:
    """Compose and check the configuration of every job, given by its overrides.

    Raises ``InputError`` for the first job that cannot run.
    """
    if config.hydra.launcher._target_.endswith("SlurmLauncher") and not which("srun"):
        raise InputError(
            "hydra/launcher=submitit_slurm: found no srun; expected a machine of a SLURM cluster, "
            "or hydra/launcher=submitit_local"
        )
    before = HydraConfig.instance().cfg
    try:
        for number, overrides in enumerate(jobs):
            job = context.config_loader.load_sweep_config(config, list(overrides))
            with flag_override(job, ["struct", "readonly"], [False, False]):
                job.hydra.job.num = number  # as Hydra's launchers do, and options may ask for it
            HydraConfig.instance().set_config(job)
            job.resume = False  # whether it was trained otherwise, a job looks up in its folder
            check(job)
    finally:
        HydraConfig.instance().cfg = before


def create_folder(config: DictConfig) -> Path:
    """Create the sweep's folder, which no other sweep can then take, and store its config."""
    folder = Path(config.hydra.sweep.dir)
    claim(folder, config.resume, "sweep_dir")
    OmegaConf.save(config, folder / SWEEP_CONFIG)
    return folder


@contextmanager
def with_closing_callbacks(context: HydraContext, config: DictConfig) -> Iterator[None]:
    """Call Hydra's callbacks for the end of a sweep also where the sweep failed."""
    try:
        yield
    except Exception:
        context.callbacks.on_multirun_end(config=config, config_name=None)
        raise
