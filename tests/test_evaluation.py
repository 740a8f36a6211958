import math
from dataclasses import replace

import pytest
import torch

from eqflow.data import Snapshots, Standardiser
from eqflow.evaluation import RANK, SAMPLING_NOISE, Protocol, Reference, evaluate, ranked
from eqflow.evaluation.similarity import similarity
from eqflow.fields import VelocityField
from eqflow.fields.linear import MinusX, ScoreMap, skew_matrix
from eqflow.metrics import mmd2
from eqflow.score import EmpiricalScore, Score
from eqflow.simulate import RK4, HeunSDE

LIGHT = Protocol(horizons=(1, 10), starts=400, splits=100, transport=False)
TURN = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
SIGMA = 0.2


class Gaussian(Score):
    """The exact score of the smoothed unit Gaussian."""

    def forward(self, x, sigma):
        return -x / (1 + sigma**2)


class Linear(VelocityField):
    def __init__(self, matrix):
        super().__init__((len(matrix),))
        self.matrix = matrix

    def unscaled(self, x):
        return x @ self.matrix.T


@pytest.fixture(scope="module")
def gaussian():
    """The unit Gaussian, with a rotation as its true velocity."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(6000, 2, generator=draw)
    unit = Standardiser(torch.zeros(2), torch.ones(2))
    return Snapshots(x[:4000], x[4000:4200], x[4200:], unit, lambda z: z @ TURN.T)


def measured(field, snapshots, protocol=LIGHT, integrator=None):
    reference = Reference(snapshots, SIGMA, protocol)
    return evaluate(field, Gaussian(), reference, integrator or RK4(0.1))


@pytest.fixture(scope="module")
def rotated(gaussian):
    return measured(Linear(TURN), gaussian, Protocol(starts=400, splits=20, horizons=(1, 10, 100)))


@pytest.mark.parametrize("horizon", ["", "_h1", "_h10", "_h100"])
def test_a_rotation_preserves_the_gaussian_within_the_floor(rotated, horizon):
    assert abs(rotated[f"preservation/mmd2_ratio{horizon}"]) < 2.5
    assert rotated["preservation/escaped"] == 0


def test_a_rotation_has_no_residual_against_the_exact_score(rotated):
    assert rotated["residual/relative_own_score"] < 1e-10


def test_the_relative_residual_is_taken_against_the_empirical_score(rotated, gaussian):
    x = Reference(gaussian, SIGMA, LIGHT).initial
    v, s = x @ TURN.T, EmpiricalScore(gaussian.train)(x, SIGMA)
    expected = (v * s).sum(1).square().sum() / v.square().sum()
    assert rotated["residual/relative"] == pytest.approx(expected.item(), rel=1e-4)


def test_a_skew_map_of_the_score_preserves_under_the_sde_too(gaussian):
    field = ScoreMap((2,), skew_matrix(2, 0), Gaussian(), SIGMA)
    field.normalise_([gaussian.train])
    numbers = measured(field, gaussian, integrator=HeunSDE(0.05, 0.5))
    assert abs(numbers["preservation/mmd2_ratio"]) < 2.5


def test_collapse_is_far_above_the_floor(gaussian):
    numbers = measured(MinusX((2,)), gaussian)
    assert numbers["preservation/mmd2_ratio"] > 50
    assert numbers["residual/relative_own_score"] > 0.5
    assert numbers["preservation/escaped"] == 0


def test_collapse_to_a_point_has_its_closed_form_distance(gaussian):
    # h^2 = 1/4, s^2 = 1 + sigma^2: 1 - 2 h^2/(h^2 + s^2) + h^2/(h^2 + 2 s^2)
    numbers = measured(MinusX((2,)), gaussian, Protocol((20,), 400, 10, transport=False))
    exact = 1 - 2 * 0.25 / 1.29 + 0.25 / 2.33
    assert numbers["preservation/mmd2_rbf05"] == pytest.approx(exact, abs=0.05)


def test_an_exploding_field_loses_every_state_and_pays_for_it(gaussian):
    numbers = measured(Linear(2 * torch.eye(2)), gaussian)
    reference = Reference(gaussian, SIGMA, LIGHT).held_out.double()
    kernel = torch.exp(-torch.cdist(reference, reference).square() / 0.5)
    within = ((kernel.sum() - 400) / (400 * 399)).item()
    assert numbers["preservation/escaped"] == 1
    assert numbers["preservation/mmd2_rbf05"] == pytest.approx(within, rel=1e-6)
    assert numbers["preservation/mmd2_ratio"] > 10


def test_a_field_that_blows_up_to_not_a_number_still_gives_numbers(gaussian):
    numbers = measured(Linear(1e4 * torch.eye(2)), gaussian)
    assert numbers["preservation/escaped"] == 1
    assert math.isfinite(numbers["preservation/mmd2_ratio"])


def test_the_floor_is_that_of_two_samples_of_one_distribution(gaussian):
    floor = Reference(gaussian, SIGMA, LIGHT).floor
    fresh = [torch.randn(2, 400, 2) * (1 + SIGMA**2) ** 0.5 for _ in range(200)]
    draws = torch.stack([mmd2(x, y, 0.5) for x, y in fresh])
    assert floor["mmd2_floor95"] == pytest.approx(draws.quantile(0.95).item(), rel=0.5)
    assert abs(floor["mmd2_floor"]) < 4 * draws.std() / LIGHT.splits**0.5


@pytest.mark.parametrize("integrator", [RK4(0.1), HeunSDE(0.1, 0.3)])
def test_numbers_do_not_depend_on_the_global_seed(gaussian, integrator):
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(measured(Linear(TURN), gaussian, Protocol((2,), 50, 10), integrator))
    assert found[0] == found[1]


def test_another_protocol_seed_draws_other_noise(gaussian):
    x, y = (Reference(gaussian, SIGMA, Protocol(seed=seed)).initial for seed in (0, 1))
    assert (x - y).abs().max() > 0.1


def test_held_out_states_are_two_halves_of_the_test_split_noised_at_sigma(gaussian):
    reference = Reference(gaussian, SIGMA, LIGHT)
    noise = torch.cat([reference.initial, reference.held_out]) - gaussian.test[:800]
    assert noise.std().item() == pytest.approx(SIGMA, rel=5 / (2 * 1600) ** 0.5)
    assert len(reference.initial) == len(reference.held_out) == 400


def test_the_true_field_has_cosine_one(rotated):
    assert rotated["truth/cos"] == pytest.approx(1, abs=1e-6)
    assert rotated["truth/cos_smoothed"] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("matrix", "cos"), [(-3 * TURN, 1), (torch.eye(2), 0), (torch.eye(2) + TURN, 0.5**0.5)]
)
def test_cosine_to_the_truth_ignores_speed_and_direction_of_time(gaussian, matrix, cos):
    numbers = measured(Linear(matrix), gaussian, Protocol((0.1,), 50, 10, transport=False))
    assert numbers["truth/cos"] == pytest.approx(cos, abs=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_one_wrong_equation_is_seen_beside_the_others(gaussian, sign):
    """A slow equation hides in the cosine of the field; its own cosine has the others' sign."""
    truth = replace(gaussian, velocity=lambda z: torch.stack([-10 * z[:, 1], z[:, 0]], 1))
    field = Linear(sign * torch.tensor([[0.0, -10.0], [-0.6, 0.8]]))  # second: -.6 of the truth
    numbers = similarity(field, Reference(truth, 0.0, LIGHT))
    assert numbers["truth/cos"] > 0.97
    assert numbers["truth/cos_signed"] == pytest.approx(sign * numbers["truth/cos"])
    assert numbers["truth/cos_x"] == pytest.approx(1)
    assert numbers["truth/cos_y"] == numbers["truth/cos_min"] == pytest.approx(-0.6, abs=0.1)


def test_names_are_those_of_the_contract(rotated):
    names = ["mmd2_rbf05", "mmd2_median", "mmd2_floor95", "mmd2_ratio"]
    names += ["sw2", "sinkhorn", "escaped", "sigma"]
    names += [f"mmd2_ratio_h{horizon}" for horizon in (1, 10, 100)]
    expected = {f"preservation/{name}" for name in names}
    expected |= {
        "residual/relative",
        "residual/relative_own_score",
        "truth/cos",
        "truth/cos_smoothed",
    }
    assert expected <= rotated.keys()
    assert all(isinstance(value, float) and math.isfinite(value) for value in rotated.values())
    assert rotated["preservation/sigma"] == SIGMA
    assert rotated["preservation/mmd2_ratio"] == rotated["preservation/mmd2_ratio_h10"]


def test_the_ratio_is_the_distance_over_the_95th_percentile_of_the_floor(rotated):
    ratio = rotated["preservation/mmd2_rbf05"] / rotated["preservation/mmd2_floor95"]
    assert rotated["preservation/mmd2_ratio"] == pytest.approx(ratio)


def test_transport_distances_of_a_preserved_law_are_near_their_floor(rotated):
    for name in ("sw2", "sinkhorn"):
        assert rotated[f"preservation/{name}"] < 2 * rotated[f"preservation/{name}_floor95"]


def test_numbers_without_a_known_truth_say_nothing_about_it(gaussian):
    unknown = Snapshots(gaussian.train, gaussian.val, gaussian.test, gaussian.standardiser)
    numbers = measured(Linear(TURN), unknown, Protocol((0.1,), 50, 10, transport=False))
    assert not [name for name in numbers if name.startswith("truth")]


@pytest.mark.parametrize(("horizons", "headline"), [((100, 1, 10), 10), ((1, 5), 5), ((20, 3), 20)])
def test_the_headline_is_ten_transit_times_or_the_last(horizons, headline):
    assert Protocol(horizons).headline == headline


def rank(ratio: float, residual: float | None = None, **clean: float) -> float:
    numbers = {"preservation/mmd2_ratio": ratio, **clean}
    if residual is not None:
        numbers |= {"residual/relative": residual, "residual/relative_floor": 0.02}
    return ranked(numbers)[RANK]


def test_the_rank_does_not_prefer_noise():
    """Distances within chance are alike: there the residual decides, beyond chance the distance."""
    assert rank(-0.6, 0.73) == rank(1.4, 0.73) > rank(-0.19, 0.23)
    assert rank(SAMPLING_NOISE, 1e6) < 1 < rank(1.6, 0.0) < rank(1.7, 0.0)
    assert ranked({"residual/relative": 0.1}) == {}  # all states escaped


def test_fields_with_and_without_a_score_that_meet_the_condition_rank_alike():
    effect = "stationarity/effect_size"
    assert rank(0.3, 0.02) == rank(0.9, 0.01) == rank(0.5, **{effect: -0.004}) == 0
    assert rank(0.3, 0.12) == pytest.approx(rank(0.3, **{effect: 0.1}))


def test_a_field_that_has_changed_is_measured_again(gaussian):
    """What is kept for the figures is what was measured last."""
    reference, field = Reference(gaussian, SIGMA, LIGHT), Linear(TURN)
    evaluate(field, Gaussian(), reference, RK4(0.1))
    first = reference.paths[field][1], reference.growths[field].rates
    field.scale.mul_(3)
    evaluate(field, Gaussian(), reference, RK4(0.1))
    assert not torch.equal(reference.paths[field][1], first[0])
    assert not torch.equal(reference.growths[field].rates, first[1])
