"""Values of another type than their default has: 2.5 for a count, a word for a number."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from eqflow.errors import InputError

TYPED_GROUPS = ("data", "score", "flow", "integrator")
"""Groups whose options are this project's own."""


FURTHER_TYPES: dict[str, type] = {"data.grid": list, "flow.training.noise_std": type(None)}
"""Another type that an option may have: two sides, a size that is to be estimated."""


TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", list: "a list"}


def check_types(cfg: DictConfig, conf: Path, choices: Mapping[str, str]) -> None:
    """Refuse the first value whose type is not that of its default in the files of ``conf``.

    Words and nulls among the defaults say nothing: they may stand for a number. Raises
    ``InputError``.
    """
    files = {"": conf / "config.yaml"}
    files |= {group: conf / group / f"{choices.get(group)}.yaml" for group in TYPED_GROUPS}
    for group, file in files.items():
        for path, default in _leaves(_defaults(file), group):
            value = OmegaConf.select(cfg, path, default=default)
            plain = OmegaConf.to_object(value) if OmegaConf.is_config(value) else value
            if not (_is_of(plain, default) or isinstance(plain, FURTHER_TYPES.get(path, ()))):
                said = "null" if value is None else value
                raise InputError(f"{path}={said} found; expected {TYPE_NAMES[type(default)]}")


def _defaults(file: Path) -> dict[str, Any]:
    """What a file of a group says, after those it starts from; nothing for a user's own choice."""
    if not file.is_file():
        return {}
    content: Any = OmegaConf.to_container(OmegaConf.load(file))
    above = content.pop("defaults", []) if file.stem != "config" else []
    content.pop("hydra", None)
    found: dict[str, Any] = {}
    for name in above:
        found |= _defaults(file.with_stem(name))
    return found | content


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
