"""Sines and cosines of single variables, for angles and periodic forces."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.terms.base import Terms, whole

if TYPE_CHECKING:
    import sympy


class Trigonometric(Terms):
    """``sin(k x_j)``, then ``cos(k x_j)``, for ``k = 1 .. harmonics`` and every variable.

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
