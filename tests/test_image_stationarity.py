"""The test of stationarity on images: its moments, its level, what it notices."""

import pytest
import torch
from torch.func import jvp

from eqflow.estimator import stationarity_test
from eqflow.stationarity import hotelling
from eqflow.stationarity.images.functions import LocalFunctions, features
from eqflow.systems.gray_scott import laplacian

pytestmark = pytest.mark.usefixtures("double")


def turning(x):
    """Linear and antisymmetric: it keeps independent standard normal pixels."""
    return x.roll(1, -1) - x.roll(-1, -1)


def test_moments_are_derivatives_of_the_functionals_along_the_velocity():
    z, v = torch.randn(2, 3, 2, 8, 6)
    functions = LocalFunctions.of(z, 20)

    def phi(image):
        scale = (len(functions.std), -1, 1, 1)
        f = (features(image) - functions.mean.view(scale)) / functions.std.view(scale)
        waves = functions.frequencies @ f.flatten(2).flatten(0, 1) + functions.phases[:, None]
        return waves.cos().mean(1)

    expected = torch.stack([jvp(phi, (a,), (b,))[1] for a, b in zip(z, v, strict=True)])
    torch.testing.assert_close(functions.moments(v, z), expected)


def test_level_holds_for_a_true_field_of_runs():
    """Copies with a little of their own, as states of one run: a group counts as one."""
    groups = torch.arange(60).repeat_interleave(5)

    def p_value(seed, labels):
        z = 0.95**0.5 * torch.randn(60, 2, 4, 4)[groups] + 0.05**0.5 * torch.randn(300, 2, 4, 4)
        return hotelling(turning(z), z, LocalFunctions.of(z, 60, seed=seed), labels).p_value

    assert sum(p_value(k, groups) < 0.05 for k in range(40)) <= 8  # P(more) = 0.0002 at 5 %
    assert sum(p_value(k, None) < 0.05 for k in range(10)) > 5


def test_a_field_that_smoothes_is_noticed():
    z = torch.randn(100, 2, 8, 8)
    functions = LocalFunctions.of(z)
    assert hotelling(turning(z), z, functions).p_value > 0.01
    assert hotelling(turning(z) + 0.05 * laplacian(z), z, functions).p_value < 0.001


def test_raw_images_are_tested_in_units_of_their_channels():
    z = torch.randn(100, 2, 8, 8)
    scale = torch.tensor([3.0, 0.1]).view(2, 1, 1)
    raw = scale * z + 5

    def drift(x):
        return scale * turning((x - 5) / scale)

    assert stationarity_test(drift, raw).p_value == pytest.approx(
        stationarity_test(turning, z).p_value, rel=1e-6
    )
