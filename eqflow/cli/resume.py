"""``run_dir=<folder> resume=true``: continue a folder from its stored overrides and config."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from eqflow.errors import InputError

RESOLVED = Path(".hydra") / "resolved.yaml"
"""Where a run's folder keeps its config with every interpolation resolved: the first thing that a
run writes, after Hydra's own files; without it a folder holds no run."""

_OVERRIDES = Path(".hydra") / "overrides.yaml"

TRAINED = ("data", "score", "flow", "seed", "batch_size", "ckpt_path", "trainer.precision")
"""Parts of a config that decide what was trained: they cannot change on resume."""


def with_stored_overrides(arguments: list[str]) -> list[str]:
    """Put the overrides stored in a resumed folder before the new ones."""
    given = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if given.get("resume", "false").lower() != "true":
        return arguments
    if "run_dir" not in given:
        raise InputError("resume=true needs run_dir=<folder>; found none")
    folder = Path(given["run_dir"])
    if not (folder / RESOLVED).is_file():
        raise InputError(f"run_dir={folder}: no run to resume; expected its {RESOLVED}")
    overrides = [str(override) for override in OmegaConf.load(folder / _OVERRIDES)]
    before = [o for o in overrides if o.split("=", 1)[0] not in ("run_dir", "resume")]
    # Hydra would write its files anew, and not atomically
    return [*(o for o in before if o not in arguments), *arguments, "hydra.output_subdir=null"]


def user_files(cfg: DictConfig) -> dict[str, str]:
    """Hashes of the user's files that decide what is trained, by path."""
    from eqflow.store import file_hash

    paths = filter(None, (cfg.data.get("path"), cfg.data.get("groups"), cfg.ckpt_path))
    return {path: file_hash(Path(path)) for path in paths if Path(path).is_file()}


def check_unchanged(cfg: DictConfig, folder: Path) -> None:
    """Refuse overrides that would change what was trained in ``folder``."""
    stored = DictConfig(OmegaConf.load(folder / RESOLVED))
    for path, before in (stored.get("files") or {}).items():
        if user_files(cfg).get(path) != before:
            raise InputError(f"resume=true: {path} changed since; expected the file trained on")
    for part in TRAINED:
        before, now = OmegaConf.select(stored, part), OmegaConf.select(cfg, part)
        for name, old, new in _differences(part, before, now):
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
