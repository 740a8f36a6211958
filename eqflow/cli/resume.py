"""``run_dir=<folder> resume=true``: continue a folder from its stored overrides and config."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from eqflow.errors import InputError

RESOLVED_CONFIG = Path(".hydra") / "resolved.yaml"
"""Where a run's folder keeps its config with every interpolation resolved: the first thing that a
run writes, after Hydra's own files; without it a folder holds no run."""


OVERRIDES_FILES = {"run_dir": ".hydra/overrides.yaml", "sweep_dir": "multirun.yaml"}
"""What holds the overrides that a folder was made with, by the option that names the folder."""


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
"""Parts of a config that decide what was trained: they cannot change on resume."""


FREE_ON_RESUME = ("data.cache_dir",)
"""Options inside them that do not."""


def with_stored_overrides(arguments: list[str]) -> list[str]:
    """Put the overrides stored in a resumed folder before the new ones."""
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
    folder, needed = (
        Path(given[option]),
        RESOLVED_CONFIG if option == "run_dir" else OVERRIDES_FILES[option],
    )
    if not (folder / needed).is_file():
        raise InputError(f"{option}={folder}: no run to resume; expected its {needed}")
    stored = _overrides(folder / OVERRIDES_FILES[option])
    before = [o for o in stored if o.split("=", 1)[0] not in (option, "resume")]
    # Hydra would write a run's files anew, and not atomically
    once = ["hydra.output_subdir=null"] if option == "run_dir" else []
    return [*(o for o in before if o not in arguments), *arguments, *once]


def _overrides(stored: Path) -> list[str]:
    content = OmegaConf.load(stored)
    if isinstance(content, DictConfig):  # a sweep's
        given = [*content.hydra.overrides.hydra, *content.hydra.overrides.task]
        return [str(o) for o in given if not o.startswith("hydra.sweep.dir=")]
    return [str(override) for override in content]


def user_files(cfg: DictConfig) -> dict[str, str]:
    """Hashes of the user's files and folders that decide what is trained, by path."""
    from eqflow.runtime import file_hash

    named = (*(cfg.data.get(name) for name in ("path", "groups", "velocities")), cfg.ckpt_path)
    paths = [path for path in named if isinstance(path, str)]  # velocities may be a number
    return {path: file_hash(Path(path)) for path in paths if Path(path).exists()}


def check_unchanged(cfg: DictConfig, folder: Path) -> None:
    """Refuse overrides that would change what was trained in ``folder``."""
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
        return [found for pair in pairs for found in _differences(*pair)]
    return [(name, old, new)] if old != new else []
