"""Sets of terms of a library: their values, formulas and names."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from numbers import Integral
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError

if TYPE_CHECKING:
    import sympy

MAX_UNKNOWNS = 3000
"""Largest number of unknowns, terms times variables, that a library may have."""


class Terms(ABC):
    """Set of scalar functions ``theta_a(x)`` of raw states, without parameters.

    Called with vectors ``(batch, dim)`` it gives their values ``(batch, terms)``. Called with
    images ``(batch, dim, height, width)`` it gives images ``(batch, terms, height, width)``: there
    a term is a function of each place and its surroundings. Values keep the dtype and the device of
    the states. Sets are joined with ``+``. Raises ``InputError`` for more than ``MAX_UNKNOWNS``
    unknowns.

    Args:
        dim: Number of variables, features of a vector or channels of an image.
        size: Number of terms.
    """

    def __init__(self, dim: int, size: int) -> None:
        if dim * size > MAX_UNKNOWNS:
            raise InputError(
                f"flow.field: {size} terms for each of {dim} variables are {dim * size} unknowns, "
                f"expected at most {MAX_UNKNOWNS}: lower flow.field.degree, set "
                "flow.field.cross=false or keep fewer features, by PCA for instance"
            )
        self.dim, self.size = dim, size

    def __len__(self) -> int:
        return self.size

    def __add__(self, other: "Terms") -> "Union":
        return Union([self, other])

    @abstractmethod
    def __call__(self, x: Float[Tensor, "batch dim *grid"]) -> Float[Tensor, "batch terms *grid"]:
        """Values of the terms at states."""

    @abstractmethod
    def expressions(self, symbols: Sequence["sympy.Expr"]) -> list["sympy.Expr"]:
        """Formulas of the terms in ``dim`` symbols, in the order of the values."""

    def about(self, origin: Sequence[float]) -> "Terms":
        """The same terms with monomials of ``x - origin``; other functions stay those of ``x``."""
        return self

    def names(self, variables: Sequence[str]) -> list[str]:
        """Formulas as text, such as ``1``, ``x``, ``x y``, ``x^2`` and ``sin(x)``."""
        symbols = placeholders(self.dim)
        pairs = zip(symbols, variables, strict=True)
        names = {ord(symbol.name): written(variable) for symbol, variable in pairs}
        formulas = (bracketed(term, plain) for term in self.expressions(symbols))
        return [formula.translate(names) for formula in formulas]

    def check_finite(self, x: Float[Tensor, "batch dim *grid"]) -> None:
        """Raise ``InputError`` if a term is infinite or undefined at one of the states."""
        bad = (~self(x).isfinite()).reshape(len(x), self.size, -1).any(2).sum(0).tolist()
        for name, states in zip(self.names(variable_names(self.dim)), bad, strict=True):
            if states:
                raise InputError(
                    f"flow.field: the term {name} is not finite on {states} of {len(x)} snapshots; "
                    "expected terms that are finite on all of them"
                )


def variable_names(dim: int) -> list[str]:
    """Names of the features of a vector: ``x, y, z`` up to three, ``x1, x2, ...`` for more."""
    return list("xyz"[:dim]) if dim <= 3 else [f"x{j + 1}" for j in range(dim)]


def channel_names(channels: int) -> list[str]:
    """Names of the channels of an image: ``u, v, w`` up to three, ``u1, u2, ...`` for more."""
    return list("uvw"[:channels]) if channels <= 3 else [f"u{j + 1}" for j in range(channels)]


def real_symbols(names: Sequence[str]) -> list["sympy.Symbol"]:
    """Real sympy symbols with these names."""
    import sympy

    return [sympy.Symbol(name, real=True) for name in names]


def placeholders(dim: int) -> list["sympy.Symbol"]:
    """Real symbols of one character that no text holds: formulas sort and print by them."""
    return real_symbols([chr(0xE000 + j) for j in range(dim)])


def written(name: str) -> str:
    """A variable's name in a formula: in brackets unless it is a word.

    >>> written("temp"), written("flux (W/m^2)")
    ('temp', '[flux (W/m^2)]')
    """
    return name if name.isidentifier() else f"[{name}]"


def typeset(name: str) -> str:
    r"""LaTeX of a variable's name: a symbol with its indices, or escaped text.

    >>> typeset("x1"), typeset("flux (W/m^2)")
    ('x_{1}', '\\text{flux (W/m\\textasciicircum{}2)}')
    """
    import sympy

    if re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)?", name):
        return sympy.latex(sympy.Symbol(name))
    return rf"\text{{{name.translate(LATEX_ESCAPES)}}}"


LATEX_ESCAPES = str.maketrans(
    {character: f"\\{character}" for character in "{}$%&#_"}
    | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
)
"""Characters that LaTeX would read as commands -> how its text writes them."""


def plain(expression: "sympy.Expr") -> str:
    """Text of a formula with spaces for products and ``^`` for powers."""
    import sympy

    text: str = sympy.sstr(expression, full_prec=False)
    return text.replace("**", "^").replace("*", " ")


def bracketed(expression: "sympy.Expr", printer: Callable[["sympy.Expr"], str]) -> str:
    """Text of a formula that may follow a coefficient: sums and multiples get brackets.

    ``printer`` gives the text of the formula itself, such as :func:`plain` or ``sympy.latex``.
    """
    bare = expression == 1 or (not expression.is_Add and expression.as_coeff_Mul()[0] == 1)
    return printer(expression) if bare else f"({printer(expression)})"


def whole(option: str, value: Any, least: int) -> int:
    """``value`` as an integer; raises ``InputError`` unless it is one and at least ``least``."""
    if not isinstance(value, Integral) or value < least:
        raise InputError(f"{option}={value} found; expected a whole number >= {least}")
    return int(value)


class Union(Terms):
    """Terms of several sets in turn, without those that are a multiple of an earlier one.

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

    def about(self, origin: Sequence[float]) -> "Union":
        moved = copy(self)
        moved.members = [member.about(origin) for member in self.members]
        return moved

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
