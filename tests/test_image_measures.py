import math
from dataclasses import replace

import pytest
import torch

from eqflow.data import Snapshots, Standardiser, split
from eqflow.evaluation import Protocol, Reference, evaluate, random_skew_similarity
from eqflow.evaluation.displacement import displacement, odd_cosines
from eqflow.evaluation.images import averaged, image_similarity
from eqflow.evaluation.reference import spread_out
from eqflow.evaluation.residuals import stationarity
from eqflow.fields import VelocityField
from eqflow.fields.linear import MinusX
from eqflow.metrics import (
    BIN_WIDTH,
    HISTOGRAM_EXTENT,
    PROFILES,
    histogram,
    profile_splits,
    sliced_w2,
    sliced_w2_splits,
    structure_factor,
)
from eqflow.score import Score
from eqflow.simulate import RK4, HeunSDE

SIDE, SIGMA = 8, 0.3
LIGHT = Protocol((1, 5), starts=64, splits=60)


def spectrum(side=SIDE):
    """Variance of each wave of a smooth Gaussian field whose pixels have variance one."""
    k = torch.fft.fftfreq(side) * side
    power = torch.exp(-(k[:, None] ** 2 + k**2) / 4)
    return power / power.mean()


def coloured(x, gain):
    """Each wave multiplied by its ``gain``."""
    return torch.fft.ifft2(torch.fft.fft2(x) * gain).real


class GaussianScore(Score):
    """The exact score of the noised Gaussian field."""

    def forward(self, x, sigma):
        return coloured(x, -1 / (spectrum(x.shape[-1]) + sigma**2))


class Turn(VelocityField):
    """Turns the channels into each other: keeps every distribution in which they are alike."""

    def __init__(self, speed=1.0):
        super().__init__((2, SIDE, SIDE))
        self.speed = speed

    def unscaled(self, x):
        return self.speed * torch.stack([-x[:, 1], x[:, 0]], 1)


class Rest(VelocityField):
    """No velocity at all: what is left is relaxation under the noise."""

    def unscaled(self, x):
        return 0 * x


@pytest.fixture(scope="module")
def textured():
    """Gaussian images, with the turn of their channels as the true velocity."""
    draw = torch.Generator().manual_seed(0)
    x = coloured(torch.randn(400, 2, SIDE, SIDE, generator=draw), spectrum().sqrt())
    units = Standardiser(torch.zeros(2, 1, 1), torch.ones(2, 1, 1))
    others = {"turn": Turn(3.0), "back": Turn(-1.0), "decay": MinusX((2, SIDE, SIDE))}
    return Snapshots(x[:200], x[200:240], x[240:], units, Turn(), alternatives=others)


def measured(field, snapshots, sigma=SIGMA, integrator=None, protocol=LIGHT):
    reference = Reference(snapshots, sigma, protocol)
    return evaluate(field, GaussianScore(), reference, integrator or HeunSDE(0.05, 0.1))


@pytest.fixture(scope="module")
def turned(textured):
    return measured(Turn(), textured)


# the whole


def test_the_true_field_is_preserved_similar_and_without_residual(turned):
    assert abs(turned["preservation/mmd2_ratio_h5"]) < 2.5
    assert turned["preservation/escaped"] == 0
    assert turned["truth/cos_signed"] == pytest.approx(1, abs=1e-6)
    assert turned["truth/clean/cos_mean"] == pytest.approx(1, abs=1e-6)
    assert turned["truth/cos_std"] < 1e-6
    assert turned["displacement/odd_cos"] > 0.9
    assert abs(turned["residual/relative_own_score"]) < 1e-6


def test_textures_of_a_preserved_law_stay_within_the_resampling_floor(turned):
    assert 0 < turned["fields/structure_ratio"] < 1.5
    assert 0 < turned["fields/histogram_ratio"] < 1.5


@pytest.mark.parametrize("sigma", [0.0, SIGMA])
def test_collapse_changes_both_textures(textured, sigma):
    numbers = measured(MinusX((2, SIDE, SIDE)), textured, sigma, RK4(0.1))
    assert numbers["fields/structure_ratio"] > 3
    assert numbers["fields/histogram_ratio"] > 3
    assert numbers["preservation/mmd2_ratio"] > 3


def test_only_what_means_something_for_images_is_measured(turned):
    names = {"preservation/mmd2_rbf05", "preservation/sinkhorn", "residual/relative"}
    names |= {"truth/cos_smoothed"}
    assert not names & turned.keys()
    expected = {"preservation/mmd2_median", "preservation/sw2", "preservation/mmd2_ratio_h5"}
    expected |= {"displacement/published_cos", "displacement/published_cos_std"}
    assert expected <= turned.keys()
    assert all(math.isfinite(value) for value in turned.values())


def test_without_noise_the_field_is_compared_as_it_is(textured):
    numbers = measured(Turn(), textured, 0.0, RK4(0.1))
    assert numbers["truth/cos"] == pytest.approx(1, abs=1e-6)
    assert not [n for n in numbers if n.startswith(("displacement", "residual", "truth/clean"))]


def test_numbers_without_a_known_truth_say_nothing_about_it(textured):
    numbers = measured(Turn(), replace(textured, velocity=None))
    assert not [n for n in numbers if n.startswith(("truth", "displacement"))]


def test_a_field_that_explodes_still_gives_numbers(textured):
    numbers = measured(Turn(1e6), textured, 0.0, RK4(0.5))
    assert numbers["preservation/escaped"] == 1
    assert "fields/structure_ratio" not in numbers
    assert all(math.isfinite(value) for value in numbers.values())


# similarity and displacement


def test_a_reversed_field_has_the_opposite_sign(textured, turned):
    numbers = measured(Turn(-1.0), textured)
    assert numbers["truth/cos_signed"] == pytest.approx(-1, abs=1e-6)
    assert numbers["truth/cos_min"] == pytest.approx(1, abs=1e-6)
    assert numbers["displacement/odd_cos"] == pytest.approx(-turned["displacement/odd_cos"])
    assert numbers["displacement/published_cos"] == pytest.approx(
        turned["displacement/published_cos"]
    )


def test_the_equation_of_one_channel_is_compared_alone(textured):
    """The second channel follows itself in place of the first, which is independent of it."""
    half = Turn()
    half.unscaled = lambda x: torch.stack([-x[:, 1], x[:, 1]], 1)
    numbers = image_similarity(half, Reference(textured, 0.0, LIGHT))
    assert numbers["truth/cos_u"] == pytest.approx(1, abs=1e-6)
    assert abs(numbers["truth/cos_v"]) < 0.3
    assert numbers["truth/cos_min"] == numbers["truth/cos_v"]


def test_relaxation_alone_has_no_odd_displacement(textured):
    arguments = (GaussianScore(), Reference(textured, SIGMA, LIGHT), HeunSDE(0.05, 0.1))
    assert odd_cosines(Rest((2, SIDE, SIDE)), *arguments).abs().max() == 0
    assert displacement(Rest((2, SIDE, SIDE)), *arguments)["displacement/published_cos"] < 0.5


def test_what_is_linear_in_the_noise_leaves_no_trace_in_the_average(textured):
    x = textured.test[:4]
    reference = Reference(textured, 0.5, LIGHT)
    torch.testing.assert_close(averaged(torch.neg, x, reference), -x)
    square = averaged(torch.square, x, reference) - x**2
    assert square.mean().item() == pytest.approx(0.25, abs=4 * 0.25 * (2 / (4 * x.numel())) ** 0.5)


def test_cross_similarity_tells_the_systems_apart(turned):
    found = {n.removeprefix("truth/cross/"): v for n, v in turned.items() if "/cross/" in n}
    assert found["turn"] == pytest.approx(1)
    assert found["back"] == pytest.approx(1)
    assert found["decay"] < 1e-6


def test_random_skew_maps_have_a_mean_and_a_spread(textured, monkeypatch):
    from eqflow.evaluation import members as random_skew

    monkeypatch.setattr(random_skew, "build_field", lambda *a: Turn((-1.0) ** a[-1]))
    numbers = random_skew_similarity(
        GaussianScore(), Reference(textured, SIGMA, LIGHT), HeunSDE(0.05, 0.1), draws=2
    )
    assert numbers["truth/cos"] == pytest.approx(1)
    assert numbers["truth/cos_std"] < 1e-6
    assert numbers["truth/cos_mean"] == pytest.approx(0, abs=1e-6)
    assert numbers["truth/cos_mean_std"] == pytest.approx(2**0.5)
    assert numbers["displacement/odd_cos"] == pytest.approx(0, abs=1e-6)


def test_images_that_are_looked_at_are_spread_over_all():
    shown = spread_out(torch.arange(100.0)[:, None], 32).flatten()
    assert len(shown) == 32
    assert set(shown.diff().tolist()) == {3.0, 4.0}
    assert len(spread_out(torch.zeros(20, 2), 32)) == 20


# residual


class Sheared(VelocityField):
    """``v = (f(x_0), 0)`` with ``f`` nonlinear: a residual whose divergence must be estimated."""

    def unscaled(self, x):
        first = x[:, 0].roll(1, -1) * 0.5 + x[:, 0].tanh()
        return torch.stack([first, 0 * first], 1)


def test_the_residual_of_images_is_unbiased_and_knows_its_error(textured):
    numbers = measured(Sheared((2, SIDE, SIDE)), textured, SIGMA, protocol=LIGHT)
    x = Reference(textured, SIGMA, LIGHT).initial
    v, s = Sheared((2, SIDE, SIDE))(x), GaussianScore()(x, SIGMA)
    r = (1 - x[:, 0].tanh() ** 2).sum((1, 2)) + (v * s).sum((1, 2, 3))
    exact = (r.square().mean() / v.square().sum((1, 2, 3)).mean()).item()
    error = numbers["residual/relative_own_score_error"]
    assert abs(numbers["residual/relative_own_score"] - exact) < 2 * error
    assert error < 0.5 * exact


# textures


def test_a_single_wave_is_one_ring():
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    wave = torch.cos(2 * torch.pi * (3 * x + 4 * y) / 16)[None, None]
    power = structure_factor(torch.cat([wave, 2 + wave], 1))
    expected = torch.zeros(2, power.shape[2], dtype=torch.double)
    expected[:, 5], expected[1, 0] = 0.5, 4.0
    torch.testing.assert_close(power[0], expected, atol=1e-6, rtol=0)


def test_rings_add_up_to_the_mean_square():
    x = torch.randn(3, 2, 12, 20)
    torch.testing.assert_close(structure_factor(x).sum(2), x.double().square().mean((2, 3)))


def test_histograms_count_every_pixel():
    x = torch.tensor([[[[-100.0, 0.01, 0.02, 100.0]]]])
    found = histogram(x)[0, 0]
    assert found.sum() == 1
    middle = round(HISTOGRAM_EXTENT / BIN_WIDTH)
    assert [found[0], found[middle], found[-1]] == [0.25, 0.5, 0.25]


def test_histogram_distance_of_a_shift_is_its_length():
    profile, distance = PROFILES["histogram"]
    x = torch.randn(20, 1, 16, 16)
    assert distance(profile(x), profile(x.flip(0))).shape == (20,)
    means = [profile(x + shift).mean(0) for shift in (0.0, 0.0, 0.5)]
    assert distance(means[0], means[1]) == 0
    assert distance(means[0], means[2]).item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("name", PROFILES)
def test_distances_of_many_splits_equal_each_alone(name):
    states = torch.randn(20, 2, 8, 8)
    first = torch.stack([torch.randperm(20) < 10 for _ in range(5)], dim=1)
    profile, distance = PROFILES[name]
    alone = [distance(profile(states[f]).mean(0), profile(states[~f]).mean(0)) for f in first.T]
    torch.testing.assert_close(profile_splits(states, name, first), torch.stack(alone))


def test_sliced_w2_of_many_splits_equals_each_alone():
    states = torch.randn(20, 2, 4, 4)
    first = torch.stack([torch.randperm(20) < 10 for _ in range(5)], dim=1)
    alone = torch.stack([sliced_w2(states[f], states[~f]) for f in first.T])
    torch.testing.assert_close(sliced_w2_splits(states, first), alone)


def test_where_all_images_escaped_there_is_no_structure_to_show():
    assert structure_factor(torch.zeros(0, 2, 8, 8)).shape == (0, 2, 7)


def test_stationarity_is_tested_on_images_with_the_truth_beside_it():
    """A shift keeps the distribution of independent pixels, a growth does not."""
    images = split(torch.randn(200, 2, 8, 8), val=20, test=100)
    images = replace(images, velocity=lambda x: x.roll(1, -1) - x.roll(-1, -1))
    found = stationarity(MinusX((2, 8, 8)), Reference(images, 0.0, Protocol()))
    truth = stationarity(images.velocity, Reference(images, 0.0, Protocol()))
    assert found["stationarity/p_value"] < 0.001 < 0.01 < truth["stationarity/p_value"]
