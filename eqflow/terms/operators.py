"""Terms of images: local linear operators on channels, alone and times monomials."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.options import unknown
from eqflow.terms.base import Terms, whole
from eqflow.terms.polynomial import Polynomial

if TYPE_CHECKING:
    import sympy

Image = Float[Tensor, "*batch height width"]


def laplacian(x: Image) -> Image:
    """Five-point Laplacian of images on a periodic grid of spacing one."""
    neighbours = sum(x.roll(step, axis) for step in (1, -1) for axis in (-1, -2))
    return neighbours - 4 * x


def _slope(axis: int) -> Callable[[Image], Image]:
    return lambda x: (x.roll(-1, axis) - x.roll(1, axis)) / 2


OPERATORS: dict[str, tuple[Callable[[Image], Image], int, str]] = {
    "lap": (laplacian, 2, r"\nabla^2"),
    "bilap": (lambda x: laplacian(laplacian(x)), 4, r"\nabla^4"),
    "dx": (_slope(-1), 1, r"\partial_x"),
    "dy": (_slope(-2), 1, r"\partial_y"),
}
"""Operators by name: the function on a periodic grid of spacing one, its order, its LaTeX.

``dx`` is along the last axis, ``dy`` along the one before; both are central differences.
"""


class Operators(Terms):
    """Terms ``m(x) L(x_j)``: operators ``L`` on every channel, times monomials ``m``.

    Raises ``InputError`` for unknown operators and for a spacing that is not positive.

    Args:
        dim: Number of channels.
        operators: Names of the operators, see ``OPERATORS``.
        coupling: Highest degree of the monomials.
        spacing: Spacing of the grid, in the unit of length of the equations.
    """

    def __init__(
        self,
        dim: int,
        operators: Sequence[str] = ("lap", "bilap"),
        coupling: int = 0,
        spacing: float = 1.0,
    ) -> None:
        for name in operators:
            if name not in OPERATORS:
                raise unknown("flow.field.operators=", name, OPERATORS)
        if not spacing > 0:
            raise InputError(f"flow.field.spacing={spacing} found; expected a length > 0")
        self.operators, self.spacing = list(operators), spacing
        self.coupling = whole("flow.field.coupling", coupling, 0)
        self.monomials = Polynomial(dim, coupling)
        super().__init__(dim, len(self.monomials) * len(operators) * dim)

    def __call__(self, x: Float[Tensor, "batch dim *grid"]) -> Float[Tensor, "batch terms *grid"]:
        applied = [OPERATORS[name] for name in self.operators]
        images = torch.cat([act(x) / self.spacing**order for act, order, _ in applied], 1)
        if not self.coupling:
            return images
        return (self.monomials(x)[:, :, None] * images[:, None]).flatten(1, 2)

    def expressions(self, symbols: Sequence["sympy.Expr"]) -> list["sympy.Expr"]:
        images = [_applied(name)(symbol) for name in self.operators for symbol in symbols]
        return [m * image for m in self.monomials.expressions(symbols) for image in images]


def _applied(name: str) -> type["sympy.Function"]:
    """Sympy function that is printed by its name, ``lap(u)``, and typeset as an operator."""
    import sympy

    def typeset(self: Any, printer: Any, exp: str | None = None) -> str:
        text = f"{OPERATORS[name][2]} {printer.doprint(self.args[0])}"
        return text if exp is None else rf"\left({text}\right)^{{{exp}}}"

    return type(name, (sympy.Function,), {"_latex": typeset})
