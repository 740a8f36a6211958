"""Monomials and trigonometric functions of the variables."""

from collections.abc import Sequence
from copy import copy
from itertools import combinations_with_replacement
from math import comb
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.terms.base import Terms, whole

if TYPE_CHECKING:
    import sympy

MOST_DIGITS = 1e15
"""Whole numbers below are written in full."""


def count(dim: int, degree: int) -> int:
    """Number of monomials of ``dim`` variables up to a degree."""
    return comb(dim + degree, degree)


class Polynomial(Terms):
    """Monomials up to a degree, by rising degree: ``1, x, y, x^2, x y, y^2, ...``.

    They are those of ``x - origin``, about another ``origin`` than zero. Raises ``InputError`` for
    a degree that is no whole number >= 0, and for too many terms.

    >>> Polynomial(2, degree=2).about([293.0, 0.0]).names(["x", "y"])
    ['1', '(x - 293)', 'y', '(x - 293)^2', 'y (x - 293)', 'y^2']

    Args:
        dim: Number of variables.
        degree: Highest total degree.
        cross: Whether products of different variables are among the terms.
    """

    def __init__(self, dim: int, degree: int, cross: bool = True) -> None:
        self.degree, self.cross = whole("flow.field.degree", degree, 0), cross
        super().__init__(dim, count(dim, degree) if cross else 1 + dim * degree)
        monomials = [m for power in range(self.degree + 1) for m in self._monomials(power)]
        index = {monomial: a for a, monomial in enumerate(monomials)}
        self._parents = [(index[m[:-1]], m[-1]) for m in monomials[1:]]
        self.powers = torch.tensor([[m.count(j) for j in range(dim)] for m in monomials])
        self.origin = [0.0] * dim

    def about(self, origin: Sequence[float]) -> "Polynomial":
        moved = copy(self)
        moved.origin = list(origin)
        return moved

    def _monomials(self, power: int) -> list[tuple[int, ...]]:
        if self.cross or not power:
            return list(combinations_with_replacement(range(self.dim), power))
        return [(j,) * power for j in range(self.dim)]

    def _products(self, one: Any, variables: Sequence[Any]) -> list[Any]:
        terms = [one]
        for parent, j in self._parents:
            terms.append(terms[parent] * variables[j])
        return terms

    def __call__(self, x: Float[Tensor, "batch dim *grid"]) -> Float[Tensor, "batch terms *grid"]:
        # terms are rows while they are multiplied: contiguous rows are several times faster
        raw = x.transpose(0, 1).contiguous().unbind()
        variables = [v - o if o else v for v, o in zip(raw, self.origin, strict=True)]
        return torch.stack(self._products(torch.ones_like(variables[0]), variables)).transpose(0, 1)

    def expressions(self, symbols: Sequence["sympy.Expr"]) -> list["sympy.Expr"]:
        import sympy

        pairs = zip(symbols, self.origin, strict=True)
        return self._products(sympy.Integer(1), [s - _exact(o) if o else s for s, o in pairs])


def _exact(value: float) -> "sympy.Number":
    """A number as sympy prints it best: an integer unless it has a fraction or many digits."""
    import sympy

    short = value.is_integer() and abs(value) < MOST_DIGITS
    return sympy.Integer(int(value)) if short else sympy.Float(value)


class Trigonometric(Terms):
    """Terms ``sin(k x_j)``, then ``cos(k x_j)``, for ``k = 1 .. harmonics`` and every variable.

    Raises ``InputError`` for ``harmonics`` that is no whole number >= 1, and for too many terms.
    """

    def __init__(self, dim: int, harmonics: int = 1) -> None:
        self.harmonics = whole("flow.field.harmonics", harmonics, 1)
        super().__init__(dim, 2 * dim * harmonics)

    def __call__(self, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch terms"]:
        phase = torch.cat([k * x for k in range(1, self.harmonics + 1)], dim=1)
        return torch.cat([phase.sin(), phase.cos()], dim=1)

    def expressions(self, symbols: Sequence["sympy.Expr"]) -> list["sympy.Expr"]:
        import sympy

        phase = [k * symbol for k in range(1, self.harmonics + 1) for symbol in symbols]
        return [wave(angle) for wave in (sympy.sin, sympy.cos) for angle in phase]
