"""The fixed registry of terms: a name, in a saved file, and its builder."""

from collections.abc import Callable, Sequence
from typing import Any

from eqflow.errors import InputError
from eqflow.terms.base import Terms
from eqflow.terms.expressions import Expressions
from eqflow.terms.operators import Operators
from eqflow.terms.polynomial import Polynomial
from eqflow.terms.trigonometric import Trigonometric
from eqflow.terms.union import Union


def _union(dim: int, members: Sequence[dict[str, Any]]) -> Union:
    return Union([build_terms(dim, **member) for member in members])


TERMS: dict[str, Callable[..., Terms]] = {
    "polynomial": Polynomial,
    "trigonometric": Trigonometric,
    "expressions": Expressions,
    "operators": Operators,
    "union": _union,
}
"""Name -> ``build(dim, **arguments)``."""


def build_terms(dim: int, name: str, **arguments: Any) -> Terms:
    """The terms whose ``config()`` is given; raises ``InputError`` for an unknown name."""
    if name not in TERMS:
        raise InputError(f"terms of kind {name!r} found; expected one of {', '.join(TERMS)}")
    return TERMS[name](dim, **arguments)


def library_terms(
    dim: int,
    degree: int = 2,
    cross: bool = True,
    harmonics: int = 0,
    expressions: Sequence[str] = (),
) -> Terms:
    """The terms of the options of a library field: a polynomial, and what is asked beside it."""
    terms: Terms = Polynomial(dim, degree, cross)
    if harmonics:
        terms = terms + Trigonometric(dim, harmonics)
    return terms + Expressions(dim, expressions) if expressions else terms


def image_terms(
    channels: int,
    degree: int = 3,
    cross: bool = True,
    operators: Sequence[str] = ("lap", "bilap"),
    coupling: int = 0,
    spacing: float = 1.0,
) -> Terms:
    """The terms of a library field of images: reactions at each place, and local operators."""
    reactions = Polynomial(channels, degree, cross)
    return reactions + Operators(channels, operators, coupling, spacing) if operators else reactions
