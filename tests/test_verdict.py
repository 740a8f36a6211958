"""What a run is said to have found: sentences, tables, and numbers written for people."""

from dataclasses import replace

import pytest
from compared import PRESERVED, TRUTH, compared, law_of

from eqflow.fields.linear import MinusX
from eqflow.report.text import chance, number, percent
from eqflow.report.verdict import lead, tables, verdict


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, "Equations with 2 terms of degree 1 are determined: held-out"),
        ({"p_value": 1e-9}, "are rejected on held-out snapshots (p-value <0.0001,"),
        (
            {"dimension": 3},
            "The equations are not determined: the fields that keep the distribution span",
        ),
        (
            {"direction": 0.5},
            "the bootstrap's fields point in different directions. Those shown have 2 terms",
        ),
    ],
)
def test_verdict_on_equations(changed, sentence):
    field, findings = law_of()
    own = compared("own", "library", field, {}, replace(findings, **changed))
    assert sentence in verdict([own])
    assert sentence not in verdict([replace(own, findings=None), own])
    assert "not stationary" not in verdict([own])


def test_snapshots_that_even_the_truth_does_not_keep():
    field, findings = law_of()
    numbers = {"truth/stationarity/p_value": 1e-4}
    own = compared("own", "library", field, numbers, replace(findings, p_value=1e-9))
    assert "as is the true velocity: the snapshots are not stationary." in verdict([own])
    assert "not stationary" not in verdict([replace(own, findings=findings)])


@pytest.mark.parametrize(
    ("ratios", "sentence"),
    [
        (
            {1: 0.3, 10: -0.3},
            "is preserved after 10 transit times (MMD² at \N{MINUS SIGN}0.3 times",
        ),
        (
            {1: 0.3, 10: 1.4, 100: 202.4},
            "and not preserved after 100 transit times (MMD² at 202 times",
        ),
        ({1: 5.0}, "is not preserved after 1 transit time"),
    ],
)
def test_verdict(ratios, sentence):
    numbers = {f"preservation/mmd2_ratio_h{h}": ratio for h, ratio in ratios.items()}
    own, null = (
        compared("own", "network", MinusX((2,)), numbers),
        compared("null", "score", MinusX((2,))),
    )
    assert sentence in verdict([own, null])


def test_numbers_are_written_for_people():
    given = [None, 0.0, -0.4123, 1304.8, 1.77e-13, 2.5e7, float("nan"), 0.999873]
    written = [
        "\N{EN DASH}",
        "0",
        "\N{MINUS SIGN}0.412",
        "1,300",
        "1.77e\N{MINUS SIGN}13",
        "2.5e+07",
        "nan",
        "0.99987",
    ]
    assert [number(value) for value in given] == written
    assert percent(0.076) == "7.6 %"
    assert number(-0.99999999999999989) == "\N{MINUS SIGN}1"
    assert number(12.3456, 4) == "12.35"
    assert [chance(p) for p in (0.0, 0.0123)] == ["<0.0001", "0.0123"]


def ratios(at_10, **further):
    return {"preservation/mmd2_ratio_h1": 0.1, "preservation/mmd2_ratio_h10": at_10} | further


@pytest.mark.parametrize(
    ("own", "nulls", "sentence"),
    [
        (
            ratios(0.3),
            [8.0, 90.0],
            "The network keeps the distribution after 10 transit times, as no",
        ),
        (ratios(0.3), [0.9, 90.0], "but so does the score, which knows nothing of the dynamics."),
        (
            ratios(0.3),
            [0.9, 1.2],
            "but so do the score and the \N{MINUS SIGN}x, which know nothing",
        ),
        (ratios(4.0), [8.0, 90.0], "The network does not keep the distribution: after 10 transit"),
        (
            ratios(0.3, **{"preservation/mmd2_ratio_h100": 7.0}),
            [8.0],
            "times, but not after 100, as",
        ),
    ],
)
def test_the_page_says_first_whether_nulls_do_as_well(own, nulls, sentence):
    run = [compared("own", "network", MinusX((2,)), own)]
    for family, ratio in zip(("score", "minus_x"), nulls, strict=False):
        run.append(compared("null", family, MinusX((2,)), ratios(ratio)))
    assert sentence in lead(run)
    assert verdict(run).startswith(lead(run))


@pytest.mark.parametrize(
    ("cosine", "null", "sentence"),
    [
        (
            0.99,
            0.5,
            "its dynamics are the true ones, up to sign and speed (|cos| 0.99, nulls up to 0.5)",
        ),
        (0.6, 0.5, "its dynamics are closer to the true ones than those of any null"),
        (0.4, 0.5, "its dynamics are not the true ones"),
    ],
)
def test_the_page_says_first_whether_the_dynamics_are_the_true_ones(cosine, null, sentence):
    own, random = (MinusX((2,)) for _ in range(2))
    run = [
        compared("own", "network", own, ratios(0.3, **{"truth/cos": cosine})),
        compared("null", "score", random, ratios(9.0, **{"truth/cos": null})),
    ]
    assert sentence in lead(run)


def test_dynamics_with_one_wrong_equation_are_not_the_true_ones():
    numbers = ratios(0.3, **{"truth/cos": 0.99, "truth/cos_min": 0.2})
    run = [compared("own", "network", MinusX((2,)), numbers)]
    assert "its dynamics are not the true ones" in lead(run)


def test_preservation_is_no_evidence_where_the_library_spans_several_fields():
    field, findings = law_of()
    run = [
        compared("own", "network", MinusX((2,)), ratios(0.3)),
        compared("beside", "library", field, {}, replace(findings, dimension=4)),
    ]
    assert "but so do 4 independent fields of the library" in lead(run)
    assert "The snapshots do not determine the dynamics." in lead(run[1:])
    assert "The snapshots determine" in lead([replace(run[1], findings=findings)])


def test_the_first_table_is_narrow_and_the_second_has_the_rest():
    numbers = PRESERVED | TRUTH | {"stationarity/p_value": 0.5, "preservation/sw2": 0.25}
    (first, rows), (rest, _) = tables([compared("own", "network", MinusX((2,)), numbers)], 2)
    assert first[2:] == ["p-value", "relative residual", "|cos| truth"]
    assert rest == ["field", "MMD²", "sliced W₂", "|cos| smoothed"]
    assert len(rows) == 2
