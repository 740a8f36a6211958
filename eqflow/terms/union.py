"""Several sets of terms as one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.terms.base import Terms, real_symbols, variable_names

if TYPE_CHECKING:
    import sympy


class Union(Terms):
    """The terms of all members in turn; a multiple of an earlier term is left out.

    Raises ``InputError`` for members of different dimensions, and for too many terms.

    >>> from eqflow.terms import Expressions, Polynomial
    >>> (Polynomial(2, degree=1) + Expressions(2, ["2*x", "x/(1 + y)"])).names(["x", "y"])
    ['1', 'x', 'y', 'x/(y + 1)']
    """

    def __init__(self, members: Sequence[Terms]) -> None:
        dims = [member.dim for member in members]
        if len(set(dims)) != 1:
            raise InputError(f"terms of {dims} variables found; expected equally many in each set")
        self.members = [part for member in members for part in _parts(member)]
        self._kept = _distinct(self._all(real_symbols(variable_names(dims[0]))))
        super().__init__(dims[0], len(self._kept))

    def _all(self, symbols: Sequence["sympy.Expr"]) -> list["sympy.Expr"]:
        return [term for member in self.members for term in member.expressions(symbols)]

    def __call__(self, x: Float[Tensor, "batch dim *grid"]) -> Float[Tensor, "batch terms *grid"]:
        values = torch.cat([member(x) for member in self.members], dim=1)
        return values if values.shape[1] == self.size else values[:, self._kept]

    def expressions(self, symbols: Sequence["sympy.Expr"]) -> list["sympy.Expr"]:
        terms = self._all(symbols)
        return [terms[index] for index in self._kept]


def _parts(terms: Terms) -> list[Terms]:
    return terms.members if isinstance(terms, Union) else [terms]


def _distinct(terms: Sequence["sympy.Expr"]) -> list[int]:
    """Indices of the terms that are no multiple of an earlier one."""
    first: dict[sympy.Expr, int] = {}
    for index, term in enumerate(terms):
        first.setdefault(term.as_coeff_Mul()[1], index)
    return list(first.values())
