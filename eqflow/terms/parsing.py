"""Formulas in text, read as syntax alone: no name but a known one is ever looked up or called.

The same syntax tree is evaluated in two algebras, of tensors and of symbols.
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

FUNCTIONS = ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sqrt", "abs")


MAX_POWER = 20


MAX_LENGTH = 200


_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class Algebra(NamedTuple):
    """What the numbers, exponents, variables and functions of a formula stand for."""

    number: Callable[[float], Any]
    exponent: Callable[[float], Any]
    variables: Mapping[str, Any]
    functions: Mapping[str, Callable[[Any], Any]]


def tensors(x: Float[Tensor, "batch dim"], names: Sequence[str]) -> Algebra:
    """Values at the states ``x``, in their dtype and on their device."""

    def scalar(value: float) -> Tensor:
        return x.new_tensor(float(value))

    functions = {name: getattr(torch, name) for name in FUNCTIONS}
    return Algebra(scalar, float, dict(zip(names, x.unbind(1), strict=True)), functions)


def formulas(symbols: Sequence["sympy.Expr"], names: Sequence[str]) -> Algebra:
    """Exact expressions of the symbols: decimal numbers become fractions."""
    import sympy

    def fraction(value: float) -> sympy.Rational:
        return sympy.Rational(str(value))

    functions = {name: getattr(sympy, name) for name in FUNCTIONS if name != "abs"}
    functions["abs"] = sympy.Abs
    return Algebra(fraction, fraction, dict(zip(names, symbols, strict=True)), functions)


def evaluate(node: ast.expr, algebra: Algebra) -> Any:
    """The value of a syntax tree; raises ``ValueError`` with the first part that is no formula."""
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
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
            return algebra.functions[name](evaluate(argument, algebra))
    raise ValueError(ast.unparse(node))


def parse(text: str, names: Sequence[str]) -> ast.expr:
    """The syntax tree of a formula of the named variables.

    Raises ``InputError`` for all but numbers, variables, ``+ - * / **`` and ``FUNCTIONS``, and for
    powers, nested ones multiplied, above ``MAX_POWER``.
    """
    fault = _fault(text, names)
    if fault:
        raise InputError(
            f"flow.field.expressions: {fault} found in {str(text)[:MAX_LENGTH]!r}; expected "
            f"numbers, the variables {', '.join(names)}, + - * / **, constant powers up to "
            f"{MAX_POWER} and the functions {', '.join(FUNCTIONS)}"
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
    """Largest product of nested exponents: numbers stay small in the exact algebra too."""
    inner = max((_power(child) for child in ast.iter_child_nodes(node)), default=1.0)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return inner * max(1.0, abs(_exponent(node.right)))
    return inner
