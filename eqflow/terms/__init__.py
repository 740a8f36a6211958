"""Scalar terms ``theta_a(x)`` of a library field ``v_j(x) = sum_a xi[a, j] theta_a(x)``."""

from eqflow.terms.base import MAX_UNKNOWNS, Terms, channel_names, variable_names
from eqflow.terms.expressions import Expressions
from eqflow.terms.families import image_terms, library_terms
from eqflow.terms.operators import Operators, laplacian
from eqflow.terms.polynomial import Polynomial, count
from eqflow.terms.trigonometric import Trigonometric
from eqflow.terms.union import Union

__all__ = [
    "MAX_UNKNOWNS",
    "Expressions",
    "Operators",
    "Polynomial",
    "Terms",
    "Trigonometric",
    "Union",
    "channel_names",
    "count",
    "image_terms",
    "laplacian",
    "library_terms",
    "variable_names",
]
