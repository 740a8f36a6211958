"""Scalar terms ``theta_a(x)`` of a library field ``v_j(x) = sum_a xi[a, j] theta_a(x)``."""

from eqflow.terms.base import (
    MAX_UNKNOWNS,
    Terms,
    bracketed,
    channel_names,
    placeholders,
    real_symbols,
    typeset,
    variable_names,
    written,
)
from eqflow.terms.expressions import Expressions
from eqflow.terms.operators import OPERATORS, Operators, laplacian
from eqflow.terms.origin import origin_near
from eqflow.terms.polynomial import Polynomial, Trigonometric

__all__ = [
    "MAX_UNKNOWNS",
    "OPERATORS",
    "Expressions",
    "Operators",
    "Polynomial",
    "Terms",
    "Trigonometric",
    "bracketed",
    "channel_names",
    "laplacian",
    "origin_near",
    "placeholders",
    "real_symbols",
    "typeset",
    "variable_names",
    "written",
]
