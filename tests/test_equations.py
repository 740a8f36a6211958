import re

import pytest
import sympy
import torch

from eqflow.discovery import Equations
from eqflow.errors import InputError
from eqflow.estimator import EquilibriumFlow
from eqflow.systems import Lorenz63
from eqflow.terms import Expressions, Polynomial

pytestmark = pytest.mark.usefixtures("double")

LORENZ = {
    "x": {"x": -10.0, "y": 10.0},
    "y": {"x": 28.0, "y": -1.0, "x z": -1.0},
    "z": {"z": -8 / 3, "x y": 1.0},
}


def equations(terms, sides, variables, **options):
    """Equations from ``{variable: {term: coefficient}}``."""
    names = terms.names(variables)
    coefficients = torch.zeros(len(terms), terms.dim)
    for j, variable in enumerate(variables):
        for term, value in sides.get(variable, {}).items():
            coefficients[names.index(term), j] = value
    return Equations(terms, coefficients, variables, **options)


def lorenz(**options):
    return equations(Polynomial(3, 2), LORENZ, ["x", "y", "z"], **options)


def saturating():
    """Terms that need brackets, and a coefficient of either sign."""
    terms = Polynomial(2, 1) + Expressions(2, ["x/(1 + y**2)", "(x - y)**1 + 1", "-exp(x)"])
    sides = {"a": {"1": -0.5, "a": 1e-7, "(a - b + 1)": 2.0}, "b": {"(-exp(a))": -3.0}}
    return equations(terms, sides, ["a", "b"])


def field(given):
    return lambda x: given.terms(x) @ given.coefficients


def values(sides, x):
    function = sympy.lambdify(list(sides), list(sides.values()), "math")
    return torch.tensor([function(*row) for row in x.tolist()])


# text


def test_names_that_are_no_words_stand_in_brackets_and_are_escaped_in_latex():
    names = ["temp", "flux (W/m^2)", "a*b_%"]
    terms = Polynomial(3, 2)
    coefficients = torch.zeros(10, 3)
    coefficients[7, 0], coefficients[8, 1], coefficients[1, 2] = 2.0, -1.0, 0.5
    given = Equations(terms, coefficients, names)
    assert given.text().splitlines()[:3] == [
        "dtemp/dt           = 2.000 [flux (W/m^2)]^2",
        "d[flux (W/m^2)]/dt = -1.000 [flux (W/m^2)] [a*b_%]",
        "d[a*b_%]/dt        = 0.5000 temp",
    ]
    assert [row.equation for row in given.rows()] == given.rates
    latex = given.latex()
    assert r"2.000 \, \text{flux (W/m\textasciicircum{}2)}^{2}" in latex
    assert r"\text{a*b\_\%}" in latex
    x = torch.randn(5, 3)
    torch.testing.assert_close(values(given.right_hand_sides(), x), field(given)(x))
    assert "flux (W/m^2)" in str(given.sympy()[0])


def test_lorenz_reads_as_its_seven_terms():
    assert lorenz().text().splitlines() == [
        "dx/dt = -10.00 x + 10.00 y",
        "dy/dt = 28.00 x - 1.000 y - 1.000 x z",
        "dz/dt = -2.667 z + 1.000 x y",
        "Time is in transit times; snapshots leave the speed free.",
    ]


def test_sums_and_negative_terms_keep_their_brackets():
    assert saturating().text().splitlines()[:2] == [
        "da/dt = -0.5000 + 1.000e-07 a + 2.000 (a - b + 1)",
        "db/dt = -3.000 (-exp(a))",
    ]


def test_equal_signs_are_aligned_and_an_empty_side_is_zero():
    given = equations(Polynomial(2, 1), {"b": {"long": 12345.0}}, ["long", "b"])
    assert given.text().splitlines()[:2] == ["dlong/dt = 0", "db/dt    = 1.234e+04 long"]


def test_printing_is_the_text_with_its_note():
    given = lorenz(note="Orientation: contracting.")
    assert str(given) == repr(given) == given.text()
    assert given.text().endswith("\nOrientation: contracting.")


# rows


def test_rows_are_the_coefficients_that_are_left():
    sides = {}
    for row in lorenz().rows():
        sides.setdefault(row.equation[1:-3], {})[row.term] = row.value
        assert row.low is row.high is None
    assert sides == LORENZ


def test_rows_carry_their_intervals():
    xi = lorenz().coefficients
    given = lorenz(intervals=(xi - 0.25, xi + 0.5)).scaled(2.0)
    assert len(given.rows()) == 7
    assert all((row.low, row.high) == (row.value - 0.5, row.value + 1) for row in given.rows())


# computer algebra


@pytest.mark.parametrize("make", [lorenz, saturating])
def test_right_hand_sides_are_the_field(make):
    given = make()
    x = torch.randn(30, given.terms.dim)
    expected = field(given)(x)
    torch.testing.assert_close(
        values(given.right_hand_sides(), x), expected, rtol=1e-12, atol=1e-12
    )


def test_the_right_hand_sides_of_lorenz_are_lorenz():
    x = 10 * torch.randn(30, 3)
    actual = values(lorenz().right_hand_sides(), x)
    torch.testing.assert_close(actual, Lorenz63().velocity(x), rtol=1e-12, atol=1e-12)


def test_symbolic_equations_are_differential_equations():
    t = sympy.Symbol("t", real=True)
    given = equations(Polynomial(1, 1), {"u": {"u": -0.5}}, ["u"])
    (equation,) = given.sympy()
    u = sympy.Function("u", real=True)
    solution = sympy.dsolve(equation, u(t), ics={u(0): 3})
    assert float(solution.rhs.subs(t, 2)) == pytest.approx(3 * torch.e**-1)


def test_a_variable_may_be_called_like_time_or_a_function():
    given = equations(Polynomial(2, 1), {"t": {"exp": 2.0}}, ["t", "exp"])
    assert str(given.sympy()[0]) == "Eq(Derivative(t(t), t), 2.0*exp(t))"
    assert values(given.right_hand_sides(), torch.tensor([[1.0, 5.0]])).tolist() == [[10.0, 0.0]]


# latex


def test_latex_is_an_aligned_environment_of_the_same_terms():
    lines = lorenz().latex().splitlines()
    assert lines[0] == r"\begin{aligned}"
    assert lines[-1] == r"\end{aligned}"
    assert lines[1:-1] == [
        r"\frac{d x}{d t} &= -10.00 \, x + 10.00 \, y \\",
        r"\frac{d y}{d t} &= 28.00 \, x - 1.000 \, y - 1.000 \, x z \\",
        r"\frac{d z}{d t} &= -2.667 \, z + 1.000 \, x y",
    ]


def test_latex_writes_powers_of_ten_and_balances_its_braces():
    text = saturating().latex()
    assert r"1.000 \cdot 10^{-7} \, a" in text
    assert text.count("{") == text.count("}")
    assert not re.search(r"\de[+-]", text)


# the unit of time


def test_scaling_multiplies_the_field_and_the_unit():
    given, x = saturating(), torch.randn(20, 2)
    faster = given.scaled(2.5)
    torch.testing.assert_close(
        values(faster.right_hand_sides(), x), 2.5 * values(given.right_hand_sides(), x)
    )
    assert faster.scaled(2).unit == 5
    assert "Time is in units of 2.5 transit times" in faster.text()


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf"), float("nan")])
def test_only_a_positive_factor_keeps_the_direction_of_time(factor):
    with pytest.raises(InputError, match="expected a positive number"):
        lorenz().scaled(factor)


@pytest.mark.slow
def test_any_number_of_snapshots_gives_coefficients_in_one_unit():
    """5,000 and 24,000 states of Lorenz-63, whose transit times differ by .5 % at most."""
    few, many = (
        EquilibriumFlow("library").fit(x, groups=runs).equations().rows()
        for x, runs in (Lorenz63().sample(n, seed=1)[:2] for n in (5_000, 24_000))
    )
    assert [row[:2] for row in few] == [row[:2] for row in many]
    for one, other in zip(few, many, strict=True):
        errors = (one.high - one.low) / 2 + (other.high - other.low) / 2
        assert one.value == pytest.approx(other.value, rel=0.005, abs=errors)


@pytest.mark.parametrize("variables", [["x"], ["x", "x"], ["x", "y", "z"]])
def test_every_variable_needs_its_own_name(variables):
    with pytest.raises(InputError, match="expected 2 names, each different"):
        Equations(Polynomial(2, 1), torch.zeros(3, 2), variables)
