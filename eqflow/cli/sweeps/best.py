"""The best job of a sweep as a run of its own: ``best=<sweep's folder>``."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from eqflow.cli.resume import OVERRIDES_FILES, out_of_sweep
from eqflow.cli.sweeps.job import RUN_OPTIONS
from eqflow.cli.sweeps.page import stored_comparison
from eqflow.errors import InputError

LEFT_OUT = (*RUN_OPTIONS, "sweep")
"""Options of a job that the run does not take over: with ``sweep``, a search's light protocol."""


def overrides_of_best(folder: Path, given: Sequence[str]) -> list[str]:
    """Overrides of the best job in a sweep's ``folder``, then those ``given`` beside them.

    Raises ``InputError`` if the folder holds no job with a finite metric.
    """
    ranked = stored_comparison(folder, "best").ranked
    if not ranked:
        raise InputError(f"best={folder}: found no job with a finite metric; expected one")
    place = folder / ranked[0].name
    stored = map(str, OmegaConf.load(place / OVERRIDES_FILES["run_dir"]))
    replaced = {*LEFT_OUT, *map(_option, given)}
    kept = [override for override in stored if _option(override) not in replaced]
    return [*kept, *out_of_sweep(place), *given]


def _option(override: str) -> str:
    return override.split("=", 1)[0].lstrip("+~")
