"""Steps of both sweepers before the first job and after the last."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from shutil import which

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, flag_override, open_dict, read_write

from eqflow.cli.checks import check, claim
from eqflow.cli.resume import SWEEP_CONFIG
from eqflow.errors import InputError

NAMING = ("data", "experiment", "name")
"""Options that a job's name depends on."""


LONGEST_NAME = 60
"""Characters of a sweep's name up to which the names of its jobs are listed in it."""


def pin_folder(context: HydraContext, config: DictConfig) -> None:
    """Name a sweep after its jobs, and give all jobs its folder."""
    with read_write(config):
        config.name = swept_name(context, config)
    folder = str(config.hydra.sweep.dir)
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.sweep.dir = folder
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir='{folder}'")
    HydraConfig.instance().set_config(config)


def swept_name(context: HydraContext, config: DictConfig) -> str:
    """The names of a sweep's jobs: ``ring+two_peaks``, or ``ring+21_more`` for very many."""
    parser = OverridesParser.create(config_loader=context.config_loader)
    params = [f"{name}={values}" for name, values in config.hydra.sweeper.params.items()]
    given = parser.parse_overrides([*params, *config.hydra.overrides.task])
    naming = {o.get_key_element(): o for o in given if o.get_key_element() in NAMING}
    if not any(override.is_discrete_sweep() for override in naming.values()):
        return str(config.name)
    values = [[f"{key}={value}" for value in _values(o)] for key, o in naming.items()]
    names = list(dict.fromkeys(_name(context, config, job) for job in product(*values)))
    return joined(names)


def joined(names: Sequence[str]) -> str:
    """As many names as ``LONGEST_NAME`` allows, and the number of the others."""
    text = "+".join(names)
    for count in range(len(names) - 1, 0, -1):
        if len(text) <= LONGEST_NAME:
            break
        text = "+".join([*names[:count], f"{len(names) - count}_more"])
    return text[:LONGEST_NAME]


def _values(override: Override) -> Iterator[str]:
    if override.is_discrete_sweep():
        return override.sweep_string_iterator()
    return iter([override.get_value_element_as_str()])


def _name(context: HydraContext, config: DictConfig, overrides: Sequence[str]) -> str:
    job = context.config_loader.load_sweep_config(config, list(overrides))
    with as_hydra_config(job):
        return re.sub(r"[^\w.-]", "_", job.name)


@contextmanager
def as_hydra_config(job: DictConfig) -> Iterator[None]:
    """Context in which ``${hydra:...}`` is looked up in the config of a job."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(job)
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before


def check_jobs(context: HydraContext, config: DictConfig, jobs: Sequence[Sequence[str]]) -> None:
    """Compose and check the configuration of every job, given by its overrides.

    Raises ``InputError`` for the first job that cannot run.
    """
    if config.hydra.launcher._target_.endswith("SlurmLauncher") and not which("srun"):
        raise InputError(
            "hydra/launcher=submitit_slurm: found no srun; expected a machine of a SLURM cluster, "
            "or hydra/launcher=submitit_local"
        )
    for number, overrides in enumerate(jobs):
        job = context.config_loader.load_sweep_config(config, list(overrides))
        with flag_override(job, ["struct", "readonly"], [False, False]):
            job.hydra.job.num = number  # as Hydra's launchers do, and options may ask for it
        with as_hydra_config(job):
            job.resume = False  # whether it was trained otherwise, a job looks up in its folder
            check(job)


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
