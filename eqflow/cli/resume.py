"""Resuming a run, ``run_dir=<folder> resume=true``, from its stored overrides and config."""

from itertools import chain
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from eqflow.errors import InputError

RESOLVED_CONFIG = Path(".hydra") / "resolved.yaml"
"""Config of a run, below its folder, with every interpolation resolved.

It is the first file that a run writes, after those of Hydra; without it a folder holds no run."""


SWEEP_CONFIG = "multirun.yaml"
"""Config of a sweep, in its folder; the first file that a sweep writes."""


OVERRIDES_FILES = {"run_dir": ".hydra/overrides.yaml", "sweep_dir": SWEEP_CONFIG}
"""File with the overrides that a folder was created with, by the option that names the folder."""


FIXED_ON_RESUME = (
    "data",
    "score",
    "flow",
    "seed",
    "batch_size",
    "ckpt_path",
    "trainer.precision",
    "trainer.max_steps",
)
"""Parts of a config that decide what is trained: they cannot change on resume."""


FREE_ON_RESUME = ("data.cache_dir",)
"""Options inside those parts that can change."""


def with_stored_overrides(arguments: list[str]) -> list[str]:
    """Arguments of the command line after the overrides that are stored in a resumed folder.

    Raises ``InputError`` if no folder is named or the folder holds no run.
    """
    given = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if given.get("resume", "false").lower() != "true":
        return arguments
    folders = [name for name in OVERRIDES_FILES if name in given]
    if len(folders) != 1:
        raise InputError(
            "resume=true needs run_dir=<folder> or sweep_dir=<folder>; found "
            f"{' and '.join(folders) or 'none'}"
        )
    (option,) = folders
    folder, stored = Path(given[option]), OVERRIDES_FILES[option]
    needed = RESOLVED_CONFIG if option == "run_dir" else stored
    if not (folder / needed).is_file():
        raise InputError(f"{option}={folder}: no run to resume; expected its {needed}")
    before = _overrides(folder / stored)
    before = [o for o in before if o.split("=", 1)[0] not in (option, "resume", "trial")]
    # else Hydra would write the run's files again, and not atomically
    alone = ["hydra.output_subdir=null", *out_of_sweep(folder)] if option == "run_dir" else []
    return [*(o for o in before if o not in arguments), *alone, *arguments]


def out_of_sweep(folder: Path) -> list[str]:
    """Overrides by which the job of a sweep that was run in ``folder`` runs as a single run.

    It keeps its number, on which options may depend, but does not speak of it.
    """
    stored = OmegaConf.load(folder / ".hydra" / "hydra.yaml").hydra
    if stored.mode != "MULTIRUN":
        return []
    silent = "hydra.job_logging.handlers.console.job=null"
    return ["hydra.mode=RUN", f"hydra.job.num={stored.job.num}", silent]


def _overrides(stored: Path) -> list[str]:
    content = OmegaConf.load(stored)
    if isinstance(content, DictConfig):  # a sweep's
        given = [*content.hydra.overrides.hydra, *content.hydra.overrides.task]
        return [str(o) for o in given if not o.startswith("hydra.sweep.dir=")]
    return [str(override) for override in content]


def user_files(cfg: DictConfig) -> dict[str, str]:
    """Hash of each of the user's files and folders that decide what is trained, by its path."""
    from eqflow.runtime import file_hash

    options = [cfg.data.get(name) for name in ("path", "groups", "velocities", "icon")]
    listed = (option if isinstance(option, ListConfig) else [option] for option in options)
    paths = [path for path in (*chain(*listed), cfg.ckpt_path) if isinstance(path, str)]
    return {path: file_hash(Path(path)) for path in paths if Path(path).exists()}


def check_unchanged(cfg: DictConfig, folder: Path) -> None:
    """Raise ``InputError`` for options that would change what was trained in ``folder``."""
    stored = DictConfig(OmegaConf.load(folder / RESOLVED_CONFIG))
    for path, before in (stored.get("files") or {}).items():
        if user_files(cfg).get(path) != before:
            raise InputError(f"resume=true: {path} changed since; expected the file trained on")
    for part in FIXED_ON_RESUME:
        before, now = OmegaConf.select(stored, part), OmegaConf.select(cfg, part)
        for name, old, new in _differences(part, before, now):
            if name in FREE_ON_RESUME:
                continue
            raise InputError(
                f"resume=true with {name}={new} would change what was trained with {name}={old}; "
                "expected the stored value"
            )


def _differences(name: str, old: object, new: object) -> list[tuple[str, object, object]]:
    if isinstance(old, DictConfig) and isinstance(new, DictConfig):
        keys = [*old, *(key for key in new if key not in old)]
        pairs = [(f"{name}.{key}", old.get(key), new.get(key)) for key in keys]
        return [difference for pair in pairs for difference in _differences(*pair)]
    return [(name, old, new)] if old != new else []
