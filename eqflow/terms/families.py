"""The terms of the options of a library field, of vectors and of images."""

from collections.abc import Sequence

from eqflow.terms.base import Terms
from eqflow.terms.expressions import Expressions
from eqflow.terms.operators import Operators
from eqflow.terms.polynomial import Polynomial
from eqflow.terms.trigonometric import Trigonometric


def library_terms(
    dim: int,
    degree: int = 2,
    cross: bool = True,
    harmonics: int = 0,
    expressions: Sequence[str] = (),
) -> Terms:
    """Of vectors: a polynomial, and what is asked beside it."""
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
    """Of images: reactions at each place, and local operators."""
    reactions = Polynomial(channels, degree, cross)
    return reactions + Operators(channels, operators, coupling, spacing) if operators else reactions
