"""Rules of artificial life: ranks that make it a condition that objects live."""

import math

import pytest

from eqflow.cli.checks import check_metric
from eqflow.errors import InputError
from eqflow.evaluation.rules import broken, driven, ranks

LIVING = {
    "density_ratio": 1.0,
    "whole": 0.95,
    "persistent": 1.0,
    "speed": 2.0,
    "displacement_ratio": 4.0,
    "polar_order": 0.75,
    "polar_order_chance": 0.25,
}


@pytest.mark.parametrize(
    ("change", "excess"),
    [
        ({}, {}),
        ({"density_ratio": 1.5}, {"density_ratio": 0.1}),
        ({"density_ratio": 0.5}, {"density_ratio": 0.2}),
        ({"whole": 0.6, "persistent": 0.0}, {"whole": 0.3, "persistent": 0.8}),
    ],
)
def test_objects_live_where_they_keep_number_shape_and_identity(change, excess):
    assert broken(LIVING | change) == pytest.approx(excess)


def test_an_empty_canvas_is_broken_in_every_way():
    assert broken({"number": 0, "density_ratio": 0}).keys() == {
        *("density_ratio", "whole", "persistent")
    }


@pytest.mark.parametrize("rank", ["rank_fastest", "rank_flocking"])
def test_no_rule_that_breaks_objects_comes_before_one_under_which_they_live(rank):
    fast = LIVING | {"speed": 1e6, "displacement_ratio": 1e6, "polar_order": 1.0}
    still = LIVING | {"displacement_ratio": 0.9}
    values = [
        ranks(numbers)[rank]
        for numbers in (
            LIVING,
            still,
            fast | {"whole": 0.89},
            fast | {"whole": 0.5},
            {"density_ratio": 0.0},
        )
    ]
    assert values == sorted(values)
    assert len(set(values)) == len(values)
    assert values[1] == 0


def test_ranks_are_of_motion_that_noise_does_not_give():
    found = ranks(LIVING)
    assert driven(LIVING) == 1 - 1 / 16
    assert found["rank_fastest"] == pytest.approx(-2.0 * math.sqrt(15 / 16))
    assert found["rank_flocking"] == pytest.approx(-(0.75 - 0.25) / 0.75 * 15 / 16)
    without_noise = {name: v for name, v in LIVING.items() if name != "displacement_ratio"}
    assert ranks(without_noise)["rank_fastest"] == -2.0
    assert ranks(LIVING | {"polar_order": 0.2})["rank_flocking"] == 0
    assert ranks(LIVING | {"displacement_ratio": 0.0})["rank_fastest"] == 0


def test_behaviour_is_no_metric_of_a_run_that_watches_nothing():
    check_metric("behaviour/rank_fastest", watched=True)
    with pytest.raises(InputError, match="rank_fastest needs objects"):
        check_metric("behaviour/rank_fastest", watched=False)
