"""The best job of a sweep as a run of its own: ``best=<sweep's folder>``."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from eqflow.cli.resume import OVERRIDES_FILES, RESOLVED_CONFIG, out_of_sweep
from eqflow.cli.sweeps.identifiability import SEED_OPTION
from eqflow.cli.sweeps.job import RUN_OPTIONS
from eqflow.cli.sweeps.page import stored_comparison
from eqflow.errors import InputError

MULTIRUN = ("-m", "--multirun")
"""Flags of a sweep, which Hydra wants before all overrides."""


LEFT_OUT = (*RUN_OPTIONS, "sweep")
"""Options of a job that the run does not take over: with ``sweep``, a search's light protocol."""


def overrides_of_best(folder: Path, given: Sequence[str]) -> list[str]:
    """Overrides of the best job in a sweep's ``folder``, then those ``given`` beside them.

    With ``-m`` among them it runs as several jobs, all with the field's seed that it had. Raises
    ``InputError`` if the folder holds no job with a finite metric.
    """
    ranked = stored_comparison(folder, "best").ranked
    if not ranked:
        raise InputError(f"best={folder}: found no job with a finite metric; expected one")
    place = folder / ranked[0].name
    stored = map(str, OmegaConf.load(place / OVERRIDES_FILES["run_dir"]))
    replaced = {*LEFT_OUT, *map(_option, given)}
    kept = [override for override in stored if _option(override) not in replaced]
    flags, others = ([a for a in given if (a in MULTIRUN) is flag] for flag in (True, False))
    further = _field_seed(place, [*kept, *others]) if flags else out_of_sweep(place)
    return [*flags, *kept, *further, *others]


def _field_seed(place: Path, given: Sequence[str]) -> list[str]:
    """The field's seed of a job unless it is given: it may be the job's number, or ``seed``."""
    seed = OmegaConf.select(OmegaConf.load(place / RESOLVED_CONFIG), SEED_OPTION)
    return [] if seed is None or SEED_OPTION in map(_option, given) else [f"{SEED_OPTION}={seed}"]


def _option(override: str) -> str:
    return override.split("=", 1)[0].lstrip("+~")
