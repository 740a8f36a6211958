"""Types of options: a value must have the type of its default in ``conf``."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from eqflow.errors import InputError

TYPED_GROUPS = ("data", "score", "flow", "integrator")
"""Groups of ``conf`` whose options are checked; those of the others belong to libraries."""


FURTHER_TYPES: dict[str, type] = {
    "data.grid": list,
    "data.canvas": list,
    "flow.training.noise_std": type(None),
}
"""Type that an option may have beside that of its default: two sides, null for an estimate."""


TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", list: "a list"}
"""What messages call a type."""


def check_types(cfg: DictConfig, conf: Path, choices: Mapping[str, str]) -> None:
    """Raise ``InputError`` for the first value whose type differs from its default in ``conf``.

    ``choices`` are the chosen files, by group. A default that is a word or null allows any type,
    as it may stand for a number.
    """
    files = {"": conf / "config.yaml"}
    files |= {group: conf / group / f"{choices.get(group)}.yaml" for group in TYPED_GROUPS}
    for group, file in files.items():
        for path, default in _leaves(_defaults(file), group):
            value = OmegaConf.select(cfg, path, default=default)
            plain = OmegaConf.to_object(value) if OmegaConf.is_config(value) else value
            if not (_is_of(plain, default) or isinstance(plain, FURTHER_TYPES.get(path, ()))):
                text = "null" if value is None else value
                raise InputError(f"{path}={text} found; expected {TYPE_NAMES[type(default)]}")


def _defaults(file: Path) -> dict[str, Any]:
    """Options of a file, and of the files in its defaults list; none if the file is the user's."""
    if not file.is_file():
        return {}
    content: Any = OmegaConf.to_container(OmegaConf.load(file))
    inherited = content.pop("defaults", []) if file.stem != "config" else []
    content.pop("hydra", None)
    defaults: dict[str, Any] = {}
    for name in inherited:
        defaults |= _defaults(file.with_stem(name))
    return defaults | content


def _leaves(content: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        here = f"{path}.{name}" if path else name
        if isinstance(value, dict):
            yield from _leaves(value, here)
        else:
            yield here, value


def _is_of(value: Any, default: Any) -> bool:
    match default:
        case bool() | list():
            return isinstance(value, type(default))
        case int():
            return isinstance(value, int) and not isinstance(value, bool)
        case float():
            return isinstance(value, int | float) and not isinstance(value, bool)
    return True
