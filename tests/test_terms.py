import copy
import doctest
import importlib
import math
import subprocess
import sys

import pytest
import sympy
import torch

from eqflow.errors import InputError
from eqflow.fields.library import library_terms
from eqflow.terms import (
    MAX_UNKNOWNS,
    Expressions,
    Polynomial,
    Trigonometric,
    origin_near,
    variable_names,
)
from eqflow.terms.base import Union

pytestmark = pytest.mark.usefixtures("double")

GROWTH = [
    "x*exp(-y)",
    "x/(1 + x**2)",
    "-0.5*tanh(2*x - y)**3",
    "abs(x - y)**0.5 + x**-2",
    "sqrt(1 + y*y)*log(2 + cos(x))",
    "sin(x)*sinh(y)/cosh(x)",
    "tan(0.1*y) - 1e-3",
    "7",
]

SETS = {
    "constant": lambda: Polynomial(3, 0),
    "quadratic": lambda: Polynomial(3, 2),
    "quintic": lambda: Polynomial(3, 5),
    "one variable": lambda: Polynomial(1, 4),
    "powers": lambda: Polynomial(4, 3, cross=False),
    "waves": lambda: Trigonometric(2, 3),
    "expressions": lambda: Expressions(2, GROWTH),
    "union": lambda: Polynomial(2, 2) + Trigonometric(2) + Expressions(2, GROWTH),
    "powers beyond products": lambda: Polynomial(3, 2) + Polynomial(3, 4, cross=False),
}


@pytest.fixture(params=SETS)
def terms(request):
    return SETS[request.param]()


def symbolic(terms):
    """The values of the terms by way of their formulas."""
    symbols = sympy.symbols(variable_names(terms.dim), real=True)
    formula = sympy.lambdify(symbols, terms.expressions(symbols), "math")
    return lambda x: torch.tensor([formula(*row) for row in x.tolist()]).double()


# every set of terms


def test_values_are_those_of_the_formulas(terms):
    x = torch.randn(40, terms.dim)
    torch.testing.assert_close(terms(x), symbolic(terms)(x), rtol=1e-11, atol=1e-11)


def test_there_is_one_name_and_one_column_for_each_term(terms):
    names = terms.names(variable_names(terms.dim))
    assert len(terms) == len(names) == len(set(names)) == terms(torch.randn(5, terms.dim)).shape[1]


def test_values_keep_the_precision_of_the_states(terms):
    assert terms(torch.randn(3, terms.dim).float()).dtype == torch.float32


def test_a_set_can_be_copied(terms):
    x = torch.randn(9, terms.dim)
    assert torch.equal(copy.deepcopy(terms)(x), terms(x))


def test_forward_mode_derivatives_are_those_of_the_formulas(terms):
    x = torch.randn(6, terms.dim)
    slopes = torch.func.vmap(torch.func.jacfwd(lambda row: terms(row[None])[0]))(x)
    shift = 1e-5 * torch.eye(terms.dim)
    f = symbolic(terms)
    expected = torch.stack([(f(x + h) - f(x - h)) / 2e-5 for h in shift], dim=2)
    torch.testing.assert_close(slopes, expected, rtol=1e-5, atol=1e-4)


# polynomials


@pytest.mark.parametrize(("dim", "degree"), [(1, 7), (2, 3), (3, 5), (10, 2), (5, 0)])
def test_there_are_binomially_many_monomials(dim, degree):
    assert len(Polynomial(dim, degree)) == math.comb(dim + degree, dim)
    assert len(Polynomial(dim, degree, cross=False)) == 1 + dim * degree


def test_monomials_come_by_rising_degree():
    names = Polynomial(3, 2).names(["x", "y", "z"])
    assert names == ["1", "x", "y", "z", "x^2", "x y", "x z", "y^2", "y z", "z^2"]


def test_powers_of_single_variables_have_no_products():
    assert Polynomial(2, 3, cross=False).names("ab") == ["1", "a", "b", "a^2", "b^2", "a^3", "b^3"]


@pytest.mark.parametrize(("dim", "degree"), [(10, 4), (55, 1), (2, 60), (1000, 30)])
def test_an_exploding_library_is_refused_before_it_is_built(dim, degree):
    with pytest.raises(
        InputError, match=rf"{dim * math.comb(dim + degree, dim)} unknowns.*{MAX_UNKNOWNS}"
    ):
        Polynomial(dim, degree)


def test_a_negative_degree_is_refused():
    with pytest.raises(InputError, match=r"flow\.field\.degree=-1 found"):
        Polynomial(2, -1)


# waves


def test_waves_have_whole_frequencies():
    names = Trigonometric(2, 2).names(["a", "b"])
    assert names[:4] == ["sin(a)", "sin(b)", "sin(2 a)", "sin(2 b)"]
    x = torch.randn(7, 2)
    torch.testing.assert_close(Trigonometric(2, 3)(x + 2 * torch.pi), Trigonometric(2, 3)(x))


def test_waves_need_a_harmonic():
    with pytest.raises(InputError, match=r"flow\.field\.harmonics=0 found"):
        Trigonometric(2, 0)


# expressions


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "__import__('os').system('true')",
        "x.real",
        "x[0]",
        "w",
        "z",
        "os",
        "exp",
        "eval(x)",
        "exp(x, y)",
        "exp(x=1)",
        "exp(x, base=y)",
        "exp(*x)",
        "lambda: x",
        "x if y else 1",
        "[x for x in y]",
        "(x := y)",
        "x, y",
        "x == y",
        "x and y",
        "x % 2",
        "x // 2",
        "x @ y",
        "x ^ 2",
        "~x",
        "not x",
        "True",
        "x**True",
        "None",
        "1j",
        "'x'",
        "f'{x}'",
        "1e400",
        "9" * 150,
        "x**y",
        "2**x",
        "x**21",
        "x**-21",
        "x**1e9",
        "9**9**9",
        "((x**4)**3)**2",
        "",
        "x +",
        "x; y",
        "\0",
        "x+" * 200 + "x",
    ],
)
def test_what_is_no_formula_is_refused_by_name(text):
    with pytest.raises(InputError, match=r"flow\.field\.expressions: .* found in"):
        Expressions(2, ["x", text])


@pytest.mark.parametrize("text", ["x - x", "1/(y - y)", "log(0)", "0*x"])
def test_a_term_without_values_is_refused(text):
    with pytest.raises(InputError, match=r"flow\.field\.expressions.*expected a term with values"):
        Expressions(2, [text])


@pytest.mark.parametrize("texts", ["x*y", []])
def test_expressions_are_a_list(texts):
    with pytest.raises(InputError, match="expected a list of formulas"):
        Expressions(2, texts)


def test_more_than_three_variables_are_numbered():
    terms = Expressions(4, ["x1*x4", "exp(-x2)"])
    x = torch.randn(5, 4)
    torch.testing.assert_close(terms(x), torch.stack([x[:, 0] * x[:, 3], (-x[:, 1]).exp()], 1))
    assert terms.names(["a", "b", "c", "d"]) == ["a d", "exp(-b)"]


def test_a_term_that_is_undefined_on_the_data_is_named():
    terms = Polynomial(2, 1) + Expressions(2, ["log(y)"])
    x = torch.tensor([[1.0, 2.0], [1.0, -2.0], [0.0, 0.0]])
    terms.check_finite(x[:1])
    with pytest.raises(InputError, match=r"log\(y\) is not finite on 2 of 3 snapshots"):
        terms.check_finite(x)


# unions


def test_a_union_keeps_a_term_and_its_multiples_once():
    parts = (
        Polynomial(2, 2),
        Expressions(2, ["y*x", "3", "x/2", "-y*y", "exp(x)"]),
        Polynomial(2, 1),
    )
    union = parts[0] + parts[1] + parts[2]
    assert union.names("xy") == ["1", "x", "y", "x^2", "x y", "y^2", "exp(x)"]
    x = torch.randn(6, 2)
    expected = torch.cat([parts[0](x), x[:, :1].exp()], dim=1)
    torch.testing.assert_close(union(x), expected)


def test_a_union_of_unions_is_flat():
    a, b, c = Polynomial(2, 1), Trigonometric(2), Expressions(2, ["x/(1 + y)"])
    assert ((a + b) + c).members == (a + (b + c)).members == Union([a, b, c]).members == [a, b, c]


def test_terms_of_different_dimensions_do_not_join():
    with pytest.raises(InputError, match=r"\[2, 3\]"):
        Polynomial(2, 1) + Polynomial(3, 1)


def test_a_union_must_not_explode_either():
    with pytest.raises(InputError, match="unknowns"):
        (
            Polynomial(30, 1)
            + Trigonometric(30, 1)
            + Expressions(30, ["x1*x2"] * 20 + ["x1*x3"])
            + (Polynomial(30, 3, cross=False))
        )


# names and options


def test_sums_and_multiples_are_bracketed_in_names():
    terms = Expressions(2, ["x + y", "-exp(x)", "x*y/2", "x/(y + 1)"])
    assert terms.names("xy") == ["(x + y)", "(-exp(x))", "(x y/2)", "x/(y + 1)"]


def test_the_options_of_a_library_make_its_terms():
    assert library_terms(3).names("xyz") == Polynomial(3, 2).names("xyz")
    terms = library_terms(2, degree=1, cross=False, harmonics=1, expressions=["x*y"])
    assert terms.names("xy") == ["1", "x", "y", "sin(x)", "sin(y)", "cos(x)", "cos(y)", "x y"]


def test_sympy_is_loaded_when_it_is_used():
    code = (
        "import sys, torch; before = 'sympy' in sys.modules; import eqflow.discovery; "
        "from eqflow.terms import Polynomial; Polynomial(2, 2)(torch.ones(1, 2)); "
        "assert before or 'sympy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", ["terms.expressions", "terms.base", "discovery.equations"])
def test_the_examples_run(module):
    torch.set_default_dtype(torch.float32)
    result = doctest.testmod(importlib.import_module(f"eqflow.{module}"))
    assert result.attempted
    assert not result.failed


# origins

MOVED = [293.0, -0.25]


@pytest.mark.parametrize("cross", [True, False])
def test_monomials_about_an_origin_are_those_of_the_difference(cross):
    terms, x = Polynomial(2, 3, cross), torch.randn(40, 2)
    moved, origin = terms.about(MOVED), torch.tensor(MOVED)
    torch.testing.assert_close(moved(x + origin), terms(x))
    torch.testing.assert_close(moved.about([0.0, 0.0])(x), terms(x))  # not from where it was
    torch.testing.assert_close(moved(x + origin), symbolic(moved)(x + origin))
    images = (x + origin).view(5, 8, 2).movedim(2, 1)[..., None]
    torch.testing.assert_close(moved(images).movedim(1, 3).flatten(0, 2), terms(x))


def test_origins_are_written_with_the_variables():
    names = Polynomial(2, 2).about(MOVED).names(["T", "flux (W)"])
    assert names[:3] == ["1", "(T - 293)", "([flux (W)] + 0.25)"]
    assert names[3:] == ["(T - 293)^2", "(T - 293) ([flux (W)] + 0.25)", "([flux (W)] + 0.25)^2"]
    assert Polynomial(2, 1).about([1e8 + 3, 1.5e22]).names(["x", "y"])[1:] == [
        "(x - 100000003)",
        "(y - 1.5e+22)",
    ]


def test_only_monomials_move_and_repeated_terms_stay_out():
    """Of ``x`` and ``x - 293``, which span the same beside 1, there is one."""
    terms = Polynomial(2, 1) + Expressions(2, ["2*x", "x*y"]) + Trigonometric(2)
    moved, x = terms.about(MOVED), torch.randn(40, 2) + torch.tensor(MOVED)
    assert moved.names(["x", "y"])[:4] == ["1", "(x - 293)", "(y + 0.25)", "x y"]
    torch.testing.assert_close(moved(x)[:, 3:], terms(x)[:, 3:])
    torch.testing.assert_close(moved(x), symbolic(moved)(x))


@pytest.mark.parametrize("std", [1e-12, 0.03, 1.0, 9.99, 1e12])
@pytest.mark.parametrize("ratio", [-1e6, -50.0, -9.9, 0.0, 9.9, 11.0, 1234.5])
def test_an_origin_is_zero_or_short_and_near_the_mean(std, ratio):
    origin = origin_near(ratio * std, std)
    if abs(ratio) < 10:
        assert origin == 0
    else:
        assert abs(origin - ratio * std) <= std / 5
        assert len(f"{origin:.15g}".strip("-").partition("e")[0].rstrip("0")) <= 9
