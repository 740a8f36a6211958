"""Names and types of options, and the sentences that refuse wrong ones."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from inspect import Parameter, isclass, signature
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from eqflow.errors import InputError
from eqflow.text import shortened

Options = Mapping[str, Any]
"""Names of options -> their types, as signatures annotate them; ``**`` stands for any other."""

WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
    list: "a list",
    tuple: "a list",
    dict: "a dictionary",
}
"""What messages call a type."""


def options_of(call: Callable[..., Any]) -> dict[str, Any]:
    """Arguments of a function or a class, with those that a class hands on to its bases.

    >>> options_of(lambda width, depth: None)
    {'width': <class 'inspect._empty'>, 'depth': <class 'inspect._empty'>}
    """
    inits = [vars(base).get("__init__") for base in call.__mro__] if isclass(call) else [call]
    found: dict[str, Any] = {}
    for part in filter(None, inits):
        found.pop("**", None)
        parameters = signature(part).parameters.values()
        found |= {_name(p): p.annotation for p in parameters if _name(p) not in found}
        if "**" not in found:
            break
    return found


def _name(parameter: Parameter) -> str:
    return "**" if parameter.kind is Parameter.VAR_KEYWORD else parameter.name


def check_arguments(given: Mapping[str, Any], known: Options, prefix: str = "") -> None:
    """Raise ``InputError`` for a name that is not ``known``, and for a value of another type.

    ``prefix`` stands before the names in messages.
    """
    for name, value in given.items():
        if name in known:
            _check_type(f"{prefix}{name}", value, known[name])
        elif "**" not in known:
            raise unknown(prefix, name, known, f"{name}={shortened(value)}")


def unknown(prefix: str, name: Any, known: Iterable[str], found: str = "") -> InputError:
    """The refusal of a name that is not among the ``known`` ones.

    ``prefix`` stands before what was ``found``, which is the name itself unless it is given.

    >>> unknown("flow.family=", "libary", ["network", "library"])
    InputError('flow.family=libary is unknown; did you mean library?')
    """
    names = [str(each) for each in known]
    close = get_close_matches(str(name), names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"expected {_either(names) or 'none'}"
    return InputError(f"{prefix}{found or name} is unknown; {hint}")


def _check_type(option: str, value: Any, annotation: Any) -> None:
    union = get_origin(annotation) in (Union, UnionType)
    kinds = [get_origin(k) or k for k in (get_args(annotation) if union else (annotation,))]
    if not any(_is_of(value, kind) for kind in kinds):
        words = dict.fromkeys(WORDS[kind] for kind in kinds if kind in WORDS)
        found = repr(value) if isinstance(value, str) else shortened(value)
        raise InputError(f"{option}={found} found; expected {_either([*words])}")


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value is of a type; any is of a type that :data:`WORDS` lacks."""
    if kind in (int, float):
        return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
    return isinstance(value, kind) if kind in (*WORDS, NoneType) else True


def _either(names: list[str]) -> str:
    """``a, b or c``."""
    return " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
