"""Terms that are formulas written by the user."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.terms.base import Terms, real_symbols, variable_names
from eqflow.terms.parsing import evaluate, formulas, parse, tensors

if TYPE_CHECKING:
    import sympy


class Expressions(Terms):
    """Formulas such as ``x*exp(-y)`` or ``x/(1 + x)`` of the variables ``variable_names(dim)``.

    Raises ``InputError`` for text that is no such formula, for a formula that is zero or undefined
    everywhere, and for too many terms.

    >>> Expressions(2, ["x*exp(-y)", "x/(1 + x)"]).names(["prey", "hunter"])
    ['prey exp(-hunter)', 'prey/(prey + 1)']
    """

    def __init__(self, dim: int, expressions: Sequence[str]) -> None:
        if isinstance(expressions, str) or not expressions:
            raise InputError(
                f"flow.field.expressions={expressions!r} found; expected a list of formulas"
            )
        super().__init__(dim, len(expressions))
        self.texts, self.variables = list(expressions), variable_names(dim)
        self._trees = [parse(text, self.variables) for text in self.texts]
        self._check()

    def _check(self) -> None:
        import sympy

        undefined = (sympy.nan, sympy.zoo, sympy.oo, -sympy.oo)
        terms = self.expressions(real_symbols(self.variables))
        for text, term in zip(self.texts, terms, strict=True):
            if term == 0 or term.has(*undefined):
                raise InputError(
                    f"flow.field.expressions: {text!r} is {term}; expected a term with values"
                )

    def __call__(self, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch terms"]:
        algebra = tensors(x, self.variables)
        values = [evaluate(tree, algebra) for tree in self._trees]
        return torch.stack([value.expand(len(x)) for value in values], dim=1)

    def expressions(self, symbols: Sequence["sympy.Expr"]) -> list["sympy.Expr"]:
        algebra = formulas(symbols, self.variables)
        return [evaluate(tree, algebra) for tree in self._trees]
