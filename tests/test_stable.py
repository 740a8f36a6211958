"""The integrator of stiff fields: stiffness, order, stability, and lost states."""

import pytest
import torch

from eqflow.simulate import RK4, HeunSDE, Stable, stiffness
from eqflow.simulate.stable import _chebyshev_step, _coefficients
from eqflow.systems import GrayScott
from eqflow.terms import laplacian

pytestmark = pytest.mark.usefixtures("double")

GRID = 16


def rates(speed):
    """Eigenvalues of ``speed`` times the five-point Laplacian, one for each wave."""
    k = 2 * torch.pi * torch.fft.fftfreq(GRID)
    return speed * (2 * k.cos()[:, None] + 2 * k.cos() - 4)


def diffused(x, speed, time):
    return torch.fft.ifft2(torch.fft.fft2(x) * (rates(speed) * time).exp()).real


def moved(x):
    """Transport by a central difference: eigenvalues on the imaginary axis, up to 50 i."""
    return 25 * (x.roll(1, -1) - x.roll(-1, -1))


def smooth(n=3):
    return diffused(torch.randn(n, 1, GRID, GRID), 0.2, 10.0)


def test_stiffness_of_diffusion_and_of_transport():
    x = torch.randn(3, 1, GRID, GRID)
    diffusion = stiffness(lambda x: 50 * laplacian(x), x)
    assert diffusion.real
    assert diffusion.radius == pytest.approx(400, rel=0.1)
    transport = stiffness(moved, x)
    assert not transport.real
    assert transport.radius == pytest.approx(50, rel=0.1)
    assert stiffness(torch.zeros_like, x) == (0, True)


def test_diffusion_far_beyond_an_explicit_step_is_stable_and_right():
    x0, times = torch.randn(3, 1, GRID, GRID), torch.tensor([0.0, 0.5, 1.0])
    path = Stable()(lambda x: 200 * laplacian(x), x0, times)
    assert path[-1].abs().max() < x0.abs().max()
    torch.testing.assert_close(path[-1].mean(), x0.mean())
    slow = Stable(0.0125)(laplacian, x0, times)
    torch.testing.assert_close(slow[1], diffused(x0, 1.0, 0.5), atol=2e-3, rtol=0)
    assert RK4()(lambda x: 200 * laplacian(x), x0, times)[-1].abs().max() > 1e9


def test_it_is_of_second_order_for_diffusion_and_of_fourth_for_transport():
    x0, times = smooth(), torch.tensor([0.0, 1.0])
    exact = {
        2: diffused(x0, 2.0, 1.0),
        4: Stable(1 / 1024)(moved, x0, times)[-1],
    }
    for order, velocity in ((2, lambda x: 2 * laplacian(x)), (4, moved)):
        errors = [
            (Stable(dt)(velocity, x0, times)[-1] - exact[order]).abs().max()
            for dt in (1 / 64, 1 / 128)
        ]
        assert (errors[0] / errors[1]).log2().item() == pytest.approx(order, abs=0.35)


@pytest.mark.parametrize("stages", [2, 3, 7, 20])
def test_the_stability_polynomial_is_bounded_as_far_as_it_should_be(stages):
    z = -torch.linspace(0.01, (stages**2 - 1) / 1.54, 500)

    grown = _chebyshev_step(lambda y: z * y, torch.ones_like(z), 1.0, stages)
    assert grown.abs().max() < 1
    assert _coefficients(stages)[0] > 0


def test_gray_scott_at_unit_transit_time_equals_small_steps():
    velocity = GrayScott("waves").velocity
    x = torch.stack([torch.ones(2, 32, 32), torch.zeros(2, 32, 32)], 1)
    x[:, :, 10:18, 8:20] = torch.tensor([0.5, 0.25])[:, None, None]
    unit = 100.0  # units of time of the model in a transit time
    times = torch.tensor([0.0, 2.0, 3.0])
    settled = RK4(0.5 / unit)(lambda x: unit * velocity(x), x, times)[-1]
    path = Stable()(lambda x: unit * velocity(x), settled, torch.tensor([0.0, 1.0]))[-1]
    expected = RK4(0.5 / unit)(lambda x: unit * velocity(x), settled, torch.tensor([0.0, 1.0]))[-1]
    motion = (expected - settled).square().mean().sqrt()
    assert (path - expected).square().mean().sqrt() < 5e-3 * motion


def test_states_that_are_lost_do_not_hold_up_the_others():
    x0 = torch.cat([torch.full((1, 1, GRID, GRID), torch.nan), smooth(2)])
    path = Stable()(lambda x: 50 * laplacian(x), x0, torch.tensor([0.0, 0.3]))
    assert not path[-1, 0].isfinite().any()
    assert path[-1, 1:].isfinite().all()


def test_stochastic_heun_moves_images_of_any_size():
    x0 = torch.randn(2, 2, GRID, 2 * GRID)
    path = HeunSDE(0.1, 0.1)(
        lambda x: laplacian(x) / 8, x0, torch.tensor([0.0, 1.0]), torch.neg, lambda _: 0 * x0
    )
    assert path.shape == (2, *x0.shape)
    assert path.isfinite().all()
