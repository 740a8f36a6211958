"""Parser of formulas that users write as text.

A formula is read as a Python syntax tree but never run as code: only known functions and variables
are looked up. The tree is evaluated in two algebras, of tensors for values and of sympy
expressions.
"""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError

if TYPE_CHECKING:
    import sympy

ALLOWED_FUNCTIONS = ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sqrt", "abs")
"""Functions that a formula may call."""


MAX_POWER = 20
"""Largest power in a formula, nested powers multiplied."""


MAX_LENGTH = 200
"""Largest number of characters of a formula."""


_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class Algebra(NamedTuple):
    """Meaning of the numbers, exponents, variables and functions of a formula."""

    number: Callable[[float], Any]
    exponent: Callable[[float], Any]
    variables: Mapping[str, Any]
    functions: Mapping[str, Callable[[Any], Any]]


def tensors(x: Float[Tensor, "batch dim"], names: Sequence[str]) -> Algebra:
    """Algebra of values at the states ``x``, in their dtype and on their device."""

    def scalar(value: float) -> Tensor:
        return x.new_tensor(float(value))

    functions = {name: getattr(torch, name) for name in ALLOWED_FUNCTIONS}
    return Algebra(scalar, float, dict(zip(names, x.unbind(1), strict=True)), functions)


def formulas(symbols: Sequence["sympy.Expr"], names: Sequence[str]) -> Algebra:
    """Algebra of exact sympy expressions of the symbols; decimal numbers become fractions."""
    import sympy

    def fraction(value: float) -> sympy.Rational:
        return sympy.Rational(str(value))

    functions = {name: getattr(sympy, name) for name in ALLOWED_FUNCTIONS if name != "abs"}
    functions["abs"] = sympy.Abs
    return Algebra(fraction, fraction, dict(zip(names, symbols, strict=True)), functions)


def evaluate(node: ast.expr, algebra: Algebra) -> Any:
    """Value of a syntax tree in an algebra; ``ValueError`` quotes what is no formula."""
    match node:
        case ast.Constant(value=value) if _is_number(value):
            return algebra.number(value)
        case ast.Name(id=name) if name in algebra.variables:
            return algebra.variables[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -evaluate(operand, algebra)
        case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
            return evaluate(base, algebra) ** algebra.exponent(_exponent(exponent))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](evaluate(left, algebra), evaluate(right, algebra))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if (
            name in ALLOWED_FUNCTIONS
        ):
            return algebra.functions[name](evaluate(argument, algebra))
    raise ValueError(ast.unparse(node))


def parse(text: str, names: Sequence[str]) -> ast.expr:
    """Syntax tree of a formula of the named variables.

    Raises ``InputError`` for anything but numbers, variables, ``+ - * / **`` and
    ``ALLOWED_FUNCTIONS``, for powers above ``MAX_POWER`` and for more than ``MAX_LENGTH``
    characters.
    """
    fault = _fault(text, names)
    if fault:
        raise InputError(
            f"flow.field.expressions: {fault} found in {str(text)[:MAX_LENGTH]!r}; expected "
            f"numbers, the variables {', '.join(names)}, + - * / **, constant powers up to "
            f"{MAX_POWER} and the functions {', '.join(ALLOWED_FUNCTIONS)}"
        )
    return ast.parse(text.strip(), mode="eval").body


def _fault(text: str, names: Sequence[str]) -> str:
    if not isinstance(text, str) or len(text) > MAX_LENGTH:
        return f"no text of at most {MAX_LENGTH} characters"
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        evaluate(tree, tensors(torch.ones(1, len(names)), names))
    except SyntaxError:
        return "no formula"
    except ValueError as error:
        return str(error)
    return "" if _power(tree) <= MAX_POWER else f"a power above {MAX_POWER}"


def _is_number(value: object) -> TypeGuard[float]:
    # neither truth values nor what overflows
    return isinstance(value, int | float) and not isinstance(value, bool) and value < 1e100


def _exponent(node: ast.expr) -> float:
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)) if _is_number(value):
            return -value
        case ast.Constant(value=value) if _is_number(value):
            return value
    raise ValueError(f"the exponent {ast.unparse(node)}")


def _power(node: ast.AST) -> float:
    """Largest product of nested exponents, which bounds the numbers of the exact algebra."""
    inner = max((_power(child) for child in ast.iter_child_nodes(node)), default=1.0)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return inner * max(1.0, abs(_exponent(node.right)))
    return inner
