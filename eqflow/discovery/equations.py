"""Equations of motion of a library field: as text, as LaTeX and as sympy expressions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.terms import Terms, bracketed, placeholders, real_symbols, typeset, written

if TYPE_CHECKING:
    import sympy

Bounds = tuple[Float[Tensor, "terms dim"], Float[Tensor, "terms dim"]]
"""Lower and upper ends of the intervals of all coefficients."""


class Coefficient(NamedTuple):
    """A coefficient of a term in an equation, with its interval; None where none is known."""

    equation: str
    term: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Equations:
    """Equations ``dx_j/dt = sum_a coefficients[a, j] theta_a(x)`` of raw states.

    Terms with a coefficient of zero are left out. Raises ``InputError`` unless every variable has a
    name of its own.

    Args:
        terms: The terms ``theta_a``.
        coefficients: Raw units per unit of time.
        variables: Names of the ``x_j``.
        intervals: Lower and upper ends of the coefficients' intervals, if known.
        note: Sentences printed beneath the equations.
        unit: Unit of time in transit times. Snapshots leave the speed free (method section 1), and
            :meth:`scaled` changes the unit.

    >>> import torch
    >>> from eqflow.terms import Polynomial
    >>> xi = torch.tensor([[0.0, 1.0], [0.0, -2.0], [0.5, 0.0]])
    >>> Equations(Polynomial(2, 1), xi, ["x", "y"])
    dx/dt = 0.5000 y
    dy/dt = 1.000 - 2.000 x
    Time is in transit times; snapshots leave the speed free.
    """

    terms: Terms
    coefficients: Float[Tensor, "terms dim"]
    variables: Sequence[str]
    intervals: Bounds | None = None
    note: str = ""
    unit: float = 1.0

    def __post_init__(self) -> None:
        names = list(self.variables)
        if len(names) != self.terms.dim or len(set(names)) != len(names):
            raise InputError(
                f"variables {names} found; expected {self.terms.dim} names, each different"
            )

    def __repr__(self) -> str:
        return self.text()

    @property
    def rates(self) -> list[str]:
        """Left-hand sides as text, such as ``dx/dt``."""
        return [f"d{written(variable)}/dt" for variable in self.variables]

    def text(self) -> str:
        """A line for each variable, with four digits, then the unit of time and the note."""
        terms = self.terms.names(self.variables)
        right = [_sum(column, terms, " ") for column in self._columns()]
        width = max(map(len, self.rates))
        lines = [f"{rate:<{width}} = {side}" for rate, side in zip(self.rates, right, strict=True)]
        return "\n".join([*lines, self._time(), *filter(None, [self.note])])

    def latex(self) -> str:
        """The equations as an ``aligned`` environment, for a displayed formula."""
        import sympy

        names = dict(zip(placeholders(self.terms.dim), map(typeset, self.variables), strict=True))
        printer = partial(sympy.latex, symbol_names=names)
        terms = [bracketed(term, printer) for term in self.terms.expressions(list(names))]
        right = [_powers_of_ten(_sum(column, terms, r" \, ")) for column in self._columns()]
        left = [rf"\frac{{d {name}}}{{d t}}" for name in names.values()]
        lines = [f"{rate} &= {side}" for rate, side in zip(left, right, strict=True)]
        return "\n".join([r"\begin{aligned}", " \\\\\n".join(lines), r"\end{aligned}"])

    def right_hand_sides(self) -> dict["sympy.Symbol", "sympy.Expr"]:
        """Right-hand side of every variable, by its symbol, in full precision.

        ``sympy.lambdify(list(sides), list(sides.values()))`` is the field as a function.
        """
        import sympy

        symbols = real_symbols(self.variables)
        terms = self.terms.expressions(symbols)
        return {
            symbol: sympy.Add(*[v * term for v, term in zip(column, terms, strict=True) if v])
            for symbol, column in zip(symbols, self._columns(), strict=True)
        }

    def sympy(self) -> list["sympy.Eq"]:
        """Differential equations ``Eq(Derivative(x(t), t), ...)``, one for each variable."""
        import sympy

        time, sides = sympy.Symbol("t", real=True), self.right_hand_sides()
        paths = {symbol: sympy.Function(symbol.name, real=True)(time) for symbol in sides}
        return [sympy.Eq(paths[x].diff(time), side.xreplace(paths)) for x, side in sides.items()]

    def rows(self) -> list[Coefficient]:
        """All coefficients that are not zero, equation by equation."""
        terms = self.terms.names(self.variables)
        numbers = (self.coefficients, *(self.intervals or ()))
        return [
            Coefficient(self.rates[j], terms[a], *(v[a, j].item() for v in numbers))
            for j, a in self.coefficients.T.nonzero().tolist()
        ]

    def scaled(self, factor: float) -> "Equations":
        """The same paths in a unit of time that is longer by ``factor``, as all rates are.

        Raises ``InputError`` for a factor that is not positive and finite.
        """
        if not 0 < factor < float("inf"):
            raise InputError(f"factor={factor} found; expected a positive number")
        bounds = self.intervals and (factor * self.intervals[0], factor * self.intervals[1])
        return replace(
            self, coefficients=factor * self.coefficients, intervals=bounds, unit=factor * self.unit
        )

    def _columns(self) -> list[list[float]]:
        return self.coefficients.T.tolist()

    def _time(self) -> str:
        unit = f"{self.unit:.4g}"
        counted = "transit times" if unit == "1" else f"units of {unit} transit times"
        return f"Time is in {counted}; snapshots leave the speed free."


def _sum(column: Sequence[float], terms: Sequence[str], times: str) -> str:
    """``-9.980 x + 9.980 y``."""
    parts = [
        f"{'-' if value < 0 else '+'} {_decimal(value)}{'' if term == '1' else times + term}"
        for value, term in zip(column, terms, strict=True)
        if value
    ]
    text = " ".join(parts) or "0"
    return text.removeprefix("+ ") if text[0] != "-" else text.replace("- ", "-", 1)


def _decimal(value: float) -> str:
    return f"{abs(value):#.4g}".rstrip(".")


def _powers_of_ten(text: str) -> str:
    return re.sub(r"(?<=\d)e([+-]\d+)", lambda m: rf" \cdot 10^{{{int(m[1])}}}", text)
