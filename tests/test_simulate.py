"""Integrators: orders of convergence, exact solutions, escaped trajectories, and refusals."""

import pytest
import torch
from scipy.stats import chi2

from eqflow.errors import InputError
from eqflow.simulate import RK4, EulerMaruyama, HeunSDE, Stable
from eqflow.simulate.ode import Dopri5

pytestmark = pytest.mark.usefixtures("double")

SDES = [EulerMaruyama, HeunSDE]
STEPS = [0.2, 0.1, 0.05, 0.025]


def logistic(x):
    return x * (1 - x)


def logistic_solution(x0, t):
    return 1 / (1 + (1 / x0 - 1) * torch.exp(-t))


def rotation(x):
    return torch.stack([-x[:, 1], x[:, 0]], 1)


def slope(steps, errors):
    """Order of convergence: the slope of log-error against log-step."""
    x, y = torch.tensor(steps).log(), torch.stack(errors).log()
    return ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()


def no_noise(x):
    return lambda step: torch.zeros_like(x)


# deterministic


@pytest.mark.parametrize(
    ("integrator", "order"),
    [(RK4, 4), (lambda dt: HeunSDE(dt, 0.0), 2), (lambda dt: EulerMaruyama(dt, 0.0), 1)],
)
def test_order_on_the_logistic_equation(integrator, order):
    x0, times = torch.linspace(0.05, 0.6, 5)[:, None], torch.tensor([0.0, 1.0, 2.0])
    exact = logistic_solution(x0, times[:, None, None])
    errors = [
        (integrator(dt)(logistic, x0, times, torch.neg, no_noise(x0)) - exact).abs().max()
        for dt in STEPS
    ]
    assert slope(STEPS, errors).item() == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("offset", [0.0, 0.013])
def test_rk4_is_of_order_four_between_steps_too(offset):
    x0, times = torch.tensor([[0.1]]), torch.tensor([0.0, 0.4 + offset, 2.0])
    exact = logistic_solution(x0, times[1])
    steps = [times[1].item() / n for n in (2, 4, 8, 16)]
    errors = [(RK4(dt)(logistic, x0, times)[1] - exact).abs().max() for dt in steps]
    assert max(errors) < 1e-5
    assert slope(steps, errors).item() == pytest.approx(4, abs=0.15)


@pytest.mark.parametrize(
    "integrator", [RK4(0.3), Dopri5(), EulerMaruyama(0.3, 0.0), HeunSDE(0.3, 0.0)]
)
def test_times_that_are_no_multiples_of_the_step_are_met(integrator):
    x0, times = torch.zeros(2, 1), torch.tensor([0.0, 0.07, 0.5, 1.234, 1.3])
    path = integrator(torch.ones_like, x0, times, torch.neg, no_noise(x0))
    torch.testing.assert_close(path, times[:, None, None].expand(5, 2, 1))


@pytest.mark.parametrize(
    "integrator", [RK4(0.1), Dopri5(1e-13, 1e-13), EulerMaruyama(0.1, 0.0), HeunSDE(0.1, 0.0)]
)
def test_the_path_starts_at_the_first_time_wherever_that_is(integrator):
    x0 = torch.randn(3, 2)
    early, late = (
        integrator(rotation, x0, start + torch.tensor([0.0, 0.5, 1.0]), torch.neg, no_noise(x0))
        for start in (0.0, 7.0)
    )
    assert torch.equal(early[0], x0)
    torch.testing.assert_close(early, late, rtol=0, atol=1e-12)


def test_rk4_turns_a_rotation_by_its_angle():
    x0, angle = torch.tensor([[1.0, 0.0]]), torch.tensor([0.0, 1.0, 100.0])
    expected = torch.stack([angle.cos(), angle.sin()], 1)[:, None]
    torch.testing.assert_close(RK4(0.05)(rotation, x0, angle), expected, rtol=0, atol=1e-5)


def test_trajectories_of_a_batch_do_not_see_each_other():
    x0, times = torch.rand(4, 1), torch.tensor([0.0, 1.0])
    alone = torch.cat([RK4()(logistic, row[None], times) for row in x0], dim=1)
    torch.testing.assert_close(RK4()(logistic, x0, times), alone, rtol=0, atol=1e-14)


# adaptive


def swinging(x):
    """Rotation with an angular velocity of its own for each trajectory, which stays in x."""
    return torch.stack([-x[:, 2] * x[:, 1], x[:, 2] * x[:, 0], 0 * x[:, 2]], 1)


def swings(speeds):
    return torch.stack([torch.ones_like(speeds), torch.zeros_like(speeds), speeds], 1)


@pytest.mark.parametrize("tolerance", [1e-6, 1e-8, 1e-10])
def test_dopri5_meets_its_tolerance(tolerance):
    x0, times = torch.linspace(0.05, 0.6, 5)[:, None], torch.tensor([0.0, 0.3, 2.0, 10.0])
    path = Dopri5(tolerance, tolerance)(logistic, x0, times)
    exact = logistic_solution(x0, times[:, None, None])
    torch.testing.assert_close(path, exact, rtol=0, atol=10 * tolerance)


def test_a_hard_trajectory_is_not_integrated_worse_among_easy_ones():
    times, hard = torch.tensor([0.0, 5.0]), torch.tensor([20.0])
    crowd = torch.cat([torch.full((500,), 0.01), hard])
    exact = torch.stack([(hard * times[1]).cos(), (hard * times[1]).sin()], 1)
    alone, among = (Dopri5()(swinging, swings(w), times)[-1, -1:, :2] for w in (hard, crowd))
    error = (alone - exact).norm()
    assert error < 1e-5
    assert (among - exact).norm() < 2 * error


def square(x):
    return x**2


def undefined(x):
    """Comes to x = 0, where the velocity ends, at a finite speed."""
    return -1 - 0 * x.sqrt()


@pytest.mark.parametrize(
    ("velocity", "end", "solution"),
    [(square, lambda x: 1 / x, lambda x, t: x / (1 - x * t)), (undefined, torch.clone, torch.sub)],
)
def test_a_trajectory_that_leaves_is_lost_and_leaves_the_others_alone(velocity, end, solution):
    x0, times = torch.tensor([0.1, 0.3, 0.5, 4.0, 0.11])[:, None], torch.linspace(0, 5, 11)
    path, gone = Dopri5()(velocity, x0, times), times[:, None] > end(x0[:, 0]) + 1e-3
    assert gone.any()
    assert (path[gone].abs() > 100).logical_or(path[gone].isnan()).all()
    assert path[-1][gone[-1]].isnan().all()
    here = times[:, None] < end(x0[:, 0]) - 0.05
    exact = solution(x0, times[:, None, None])
    torch.testing.assert_close(path[here], exact[here], rtol=1e-6, atol=1e-6)


def test_starts_that_are_not_finite_are_lost_alone():
    x0, times = torch.tensor([[1.0], [torch.nan], [torch.inf]]), torch.tensor([0.0, 1.0])
    path = Dopri5()(torch.neg, x0, times)
    torch.testing.assert_close(path[:, 0, 0], torch.exp(-times), rtol=0, atol=1e-7)
    assert path[:, 1:].isnan().all()


def test_dopri5_keeps_the_type_of_its_starts_and_steps_in_float64():
    x0, times = torch.tensor([[1.0, 0.0]], dtype=torch.float32), torch.tensor([0.0, 30.0])
    seen = set()

    def turn(x):
        seen.add(x.dtype)
        return rotation(x)

    end = Dopri5()(turn, x0, times)[-1]
    assert {end.dtype} == seen == {torch.float32}
    expected = torch.stack([times[1:].cos(), times[1:].sin()], 1)
    torch.testing.assert_close(end.double(), expected, rtol=0, atol=1e-5)


def test_dopri5_integrates_images():
    x0, times = torch.rand(3, 2, 4, 5), torch.tensor([0.0, 1.0])
    x0[0, 0, 0, 0] = torch.nan
    path = Dopri5()(torch.neg, x0, times)
    torch.testing.assert_close(path[1, 1:], x0[1:] / torch.e)
    assert path[:, 0].isnan().all()


# stochastic


def paths(integrator, dt, fine, normals, drift):
    """End states at time 1 with Brownian increments summed from steps of length ``fine``."""
    ratio = round(dt / fine)
    coarse = normals.unflatten(0, (-1, ratio)).sum(1) / ratio**0.5
    x0, times = torch.zeros(normals.shape[1:]), torch.tensor([0.0, 1.0])
    return integrator(dt, 1.0)(drift, x0, times, torch.neg, coarse.__getitem__)[-1]


@pytest.mark.parametrize("integrator", SDES)
def test_strong_order_is_one_for_additive_noise(integrator):
    fine, steps = 2.0**-12, [2.0**-k for k in (3, 4, 5, 6)]
    normals = torch.randn(2**12, 400, 1)
    best = paths(HeunSDE, fine, fine, normals, torch.sin)
    errors = [
        (paths(integrator, dt, fine, normals, torch.sin) - best).square().mean().sqrt()
        for dt in steps
    ]
    assert slope(steps, errors).item() == pytest.approx(1, abs=0.15)


def stationary_variance(integrator, dt, eta=1.0):
    """Of the scheme on ``dx = -eta x dt + sqrt(2 eta) dW``, from its response to x and noise."""
    sde, times = integrator(dt, eta), torch.tensor([0.0, dt])
    decay, kick = (
        sde(
            torch.zeros_like,
            torch.tensor([[x]]),
            times,
            torch.neg,
            lambda _, n=n: torch.tensor([[n]]),
        )[-1]
        for x, n in ((1.0, 0.0), (0.0, 1.0))
    )
    return (kick**2 / (1 - decay**2)).item()


@pytest.mark.parametrize("dt", STEPS)
def test_heun_keeps_the_variance_of_ornstein_uhlenbeck_better_than_euler_maruyama(dt):
    heun, euler = (abs(stationary_variance(scheme, dt) - 1) for scheme in (HeunSDE, EulerMaruyama))
    assert euler == pytest.approx(dt / 2, rel=dt)
    assert heun == pytest.approx(dt**2 / 4, rel=2 * dt)


def test_weak_order_of_heun_is_two_and_of_euler_maruyama_one():
    for scheme, order in ((HeunSDE, 2), (EulerMaruyama, 1)):
        errors = [torch.tensor(abs(stationary_variance(scheme, dt) - 1)) for dt in STEPS]
        assert slope(STEPS, errors).item() == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize("integrator", SDES)
def test_eta_only_sets_the_clock_of_the_restoring_noise(integrator):
    fast, slow = (
        stationary_variance(integrator, 0.05, eta=2.0),
        stationary_variance(integrator, 0.1),
    )
    assert fast == pytest.approx(slow, abs=1e-12)


@pytest.mark.parametrize("eta", [0.1, 1.0, 4.0])
def test_the_sde_preserves_a_gaussian_for_every_eta(eta):
    n, x0 = 20_000, torch.randn(20_000, 2)
    noise = torch.Generator().manual_seed(1)
    draws = lambda step: torch.randn(n, 2, generator=noise)  # noqa: E731
    x = HeunSDE(0.02, eta)(rotation, x0, torch.tensor([0.0, 2.0]), torch.neg, draws)[-1]
    low, high = chi2.ppf([1e-6, 1 - 1e-6], 2 * n)
    assert low < x.square().sum() < high
    assert (x.T @ x / n)[0, 1].abs() < 5 / n**0.5
    assert x.mean(0).abs().max() < 5 / n**0.5


@pytest.mark.parametrize("integrator", SDES)
def test_noise_forgets_the_start_at_rate_eta(integrator):
    x0, eta = torch.ones(1, 1), 0.5
    path = integrator(0.01, eta)(
        torch.zeros_like, x0, torch.tensor([0.0, 2.0]), torch.neg, no_noise(x0)
    )
    assert path[-1].item() == pytest.approx(torch.tensor(-1.0).exp().item(), rel=0.01)


@pytest.mark.parametrize("integrator", SDES)
def test_every_step_has_its_own_noise_and_their_variances_add_up_to_the_time(integrator):
    # step k moves along axis k: the squared distance is the sum of the steps' variances
    times, eta, axes = torch.tensor([0.0, 0.1, 0.47, 1.0, 1.02]), 0.7, torch.eye(64)
    still = torch.zeros_like
    path = integrator(0.05, eta)(still, torch.zeros(1, 64), times, still, lambda k: axes[k : k + 1])
    torch.testing.assert_close(path.square().sum((1, 2)), 2 * eta * times)


@pytest.mark.parametrize("integrator", SDES)
def test_noise_is_asked_for_once_a_step_in_order(integrator):
    asked, x0 = [], torch.zeros(1, 1)
    noise = lambda step: asked.append(step) or x0  # noqa: E731
    integrator(0.1, 0.1)(torch.neg, x0, torch.tensor([0.0, 0.5, 0.6, 1.0]), torch.neg, noise)
    assert asked == list(range(10))


# refusals


@pytest.mark.parametrize("integrator", [RK4, Stable, *SDES])
@pytest.mark.parametrize("dt", [0.0, -0.1, float("nan")])
def test_a_step_that_is_not_positive_is_refused(integrator, dt):
    with pytest.raises(InputError, match=r"integrator\.dt"):
        integrator(dt)


@pytest.mark.parametrize("integrator", SDES)
@pytest.mark.parametrize("eta", [-0.1, float("nan")])
def test_a_negative_noise_is_refused(integrator, eta):
    with pytest.raises(InputError, match=r"integrator\.eta"):
        integrator(0.1, eta)


@pytest.mark.parametrize("integrator", SDES)
@pytest.mark.parametrize(
    "given", [{}, {"score": torch.neg}, {"noise": lambda step: torch.zeros(1, 1)}]
)
def test_an_sde_without_score_or_noise_is_refused(integrator, given):
    with pytest.raises(InputError, match=rf"{integrator.__name__}.*score"):
        integrator()(torch.neg, torch.zeros(1, 1), torch.tensor([0.0, 1.0]), **given)


@pytest.mark.parametrize("tolerance", ["rtol", "atol"])
@pytest.mark.parametrize("value", [0.0, -1e-8, float("nan")])
def test_a_tolerance_that_is_not_positive_is_refused(tolerance, value):
    with pytest.raises(InputError, match=rf"integrator\.{tolerance}"):
        Dopri5(**{tolerance: value})


@pytest.mark.parametrize("integrator", [RK4(), Dopri5(), EulerMaruyama(), HeunSDE()])
def test_times_that_do_not_increase_are_refused(integrator):
    x0, times = torch.zeros(1, 1), torch.tensor([0.0, 1.0, 0.5])
    with pytest.raises(InputError, match="increas"):
        integrator(torch.neg, x0, times, torch.neg, no_noise(x0))
