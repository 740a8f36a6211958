import doctest
import importlib

import pytest
import torch
from torch.func import grad, jacfwd, jvp, vmap

from eqflow.errors import InputError
from eqflow.score import EmpiricalScore, MLPScore, Score, build_score

pytestmark = pytest.mark.usefixtures("double")

PEAKS = torch.tensor([[-1.0, -0.5], [1.0, 0.5]], dtype=torch.float64)
SPREAD = 0.4


def mixture(n):
    return PEAKS[torch.randint(2, (n,))] + SPREAD * torch.randn(n, 2)


def mixture_log_density(x, sigma):
    return torch.logsumexp(-(x - PEAKS).square().sum(1) / (2 * (SPREAD**2 + sigma**2)), 0)


def mixture_score(x, sigma):
    return vmap(grad(mixture_log_density), in_dims=(0, None))(x, sigma)


def zero_output(score):
    for parameter in score.network.last.parameters():
        torch.nn.init.zeros_(parameter)
    return score


@pytest.fixture
def x():
    return torch.randn(6, 3)


@pytest.fixture
def conservative():
    return MLPScore((3,), width=16, depth=2)


@pytest.fixture
def free():
    return MLPScore((3,), width=16, depth=2, conservative=False)


# empirical


@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_empirical_score_tends_to_the_smoothed_score_as_one_over_root_n(sigma):
    x = mixture(200) + sigma * torch.randn(200, 2)
    exact = mixture_score(x, sigma)

    def error(n):
        return (EmpiricalScore(mixture(n))(x, sigma) - exact).square().mean().sqrt()

    few, many = error(1000), error(64_000)
    assert many < 0.05 * exact.square().mean().sqrt()
    assert 4 < few / many < 16  # sqrt(64) = 8


def test_empirical_score_equals_the_two_loop_formula():
    x, points, sigma = torch.randn(4, 2), torch.randn(7, 2), 0.7
    for row, found in zip(x, EmpiricalScore(points)(x, sigma), strict=True):
        weights = [torch.exp(-(row - p).square().sum() / (2 * sigma**2)) for p in points]
        pull = sum(w * (p - row) for w, p in zip(weights, points, strict=True))
        torch.testing.assert_close(found, pull / sum(weights) / sigma**2, rtol=1e-12, atol=1e-12)


def test_empirical_score_is_the_gradient_of_the_log_density_for_grids_too():
    x, points, sigma = torch.randn(3, 2, 4, 4), torch.randn(9, 2, 4, 4), 1.5

    def log_density(row):
        return torch.logsumexp(-(row - points).square().sum((1, 2, 3)) / (2 * sigma**2), 0)

    torch.testing.assert_close(EmpiricalScore(points)(x, sigma), vmap(grad(log_density))(x))


def test_empirical_score_far_from_every_point_still_points_at_the_nearest():
    points = torch.tensor([[0.0], [1.0]])
    score = EmpiricalScore(points)(torch.tensor([[100.0], [-100.0]]), 0.1)
    torch.testing.assert_close(score, torch.tensor([[-99.0], [100.0]]) / 0.01)


@pytest.mark.parametrize("max_pairs", [1, 50, 51, 120, 10**9])
def test_chunks_do_not_change_the_empirical_score(max_pairs):
    x, points = torch.randn(11, 2), torch.randn(50, 2)
    whole = EmpiricalScore(points)(x, 0.3)
    torch.testing.assert_close(
        EmpiricalScore(points, max_pairs)(x, 0.3), whole, rtol=1e-12, atol=1e-12
    )


def test_chunks_hold_at_most_max_pairs(monkeypatch):
    softmax, pairs = torch.softmax, []
    monkeypatch.setattr(torch, "softmax", lambda k, dim: pairs.append(k.numel()) or softmax(k, dim))
    EmpiricalScore(torch.randn(50, 2), max_pairs=120)(torch.randn(11, 2), 0.3)
    assert max(pairs) <= 120
    assert sum(pairs) == 11 * 50


@pytest.mark.parametrize("shape", [(3,), (2, 4, 4)])
def test_empirical_score_takes_one_sigma_for_each_state(shape):
    score, x = EmpiricalScore(torch.randn(9, *shape), max_pairs=20), torch.randn(6, *shape)
    levels = torch.linspace(0.5, 2, 6)
    each = torch.cat([score(row[None], level.item()) for row, level in zip(x, levels, strict=True)])
    torch.testing.assert_close(score(x, levels), each, rtol=0, atol=1e-12)


def test_posterior_mean_of_gaussian_states_shrinks_linearly():
    sigma, points, x = 0.5, torch.randn(50_000, 1), torch.linspace(-1.5, 1.5, 7)[:, None]
    score = EmpiricalScore(points)
    torch.testing.assert_close(score.posterior_mean(x, sigma, points), x / 1.25, rtol=0, atol=0.03)
    second = (x / 1.25) ** 2 + 0.25 / 1.25
    torch.testing.assert_close(score.posterior_mean(x, sigma, points**2), second, rtol=0, atol=0.06)


# perceptron


def test_conservative_score_is_minus_the_gradient_of_its_energy(conservative, x):
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(conservative.energy(x, 0.3).sum(), x)
    torch.testing.assert_close(conservative(x, 0.3), -gradient, rtol=0, atol=1e-12)


def jacobian(score, x):
    return vmap(jacfwd(lambda row: score(row[None], 0.3)[0]))(x)


def test_only_the_conservative_score_has_a_symmetric_jacobian(conservative, free, x):
    torch.testing.assert_close(
        jacobian(conservative, x), jacobian(conservative, x).mT, rtol=0, atol=1e-12
    )
    assert (jacobian(free, x) - jacobian(free, x).mT).abs().max() > 1e-3


def test_free_score_has_no_energy(free, x):
    with pytest.raises(InputError, match=r"score\.conservative"):
        free.energy(x, 0.3)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_conservative_score_works_without_autograd(conservative, x, mode):
    expected = conservative(x, 0.3).detach()
    with mode():
        found = conservative(x, 0.3)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_conservative_score_works_in_forward_mode(conservative, x):
    eps, h = torch.randn_like(x), 1e-5
    _, found = jvp(lambda x: conservative(x, 0.3), (x,), (eps,))
    difference = (conservative(x + h * eps, 0.3) - conservative(x - h * eps, 0.3)) / (2 * h)
    torch.testing.assert_close(found, difference, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close((jacobian(conservative, x) @ eps[..., None])[..., 0], found)


@pytest.mark.parametrize("name", ["conservative", "free"])
def test_one_sigma_for_all_equals_one_sigma_for_each(name, x, request):
    score = request.getfixturevalue(name)
    torch.testing.assert_close(score(x, torch.full((6,), 0.3)), score(x, 0.3), rtol=0, atol=1e-14)
    levels = torch.linspace(0.1, 2, 6)
    each = torch.cat([score(row[None], level.item()) for row, level in zip(x, levels, strict=True)])
    torch.testing.assert_close(score(x, levels), each, rtol=0, atol=1e-12)


@pytest.mark.parametrize("conservative", [True, False])
@pytest.mark.parametrize("sigma", [0.01, 0.2, 5.0])
def test_zero_network_gives_the_score_of_the_smoothed_unit_gaussian(x, conservative, sigma):
    score = zero_output(MLPScore((3,), conservative=conservative))
    torch.testing.assert_close(score(x, sigma), -x / (1 + sigma**2), rtol=0, atol=1e-14)


@pytest.mark.parametrize("level", [-3.0, 0.0, 2.5])
def test_training_target_has_unit_variance_for_unit_variance_data(level):
    # all four signs of a unit-variance state and of its noise: the average is exact
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 2)
    score = zero_output(MLPScore((1,)))
    error = score.denoising_error(signs[:, :1], signs[:, 1:], torch.full((4, 1), level))
    assert error.mean().item() == pytest.approx(1, abs=1e-12)


def test_a_score_of_one_noise_level_is_one(x):
    score = MLPScore((3,), noise_mean=-1.0, noise_std=0.0)
    score.check_level(0.368)
    assert score(x, 0.368).isfinite().all()
    with pytest.raises(InputError, match=r"flow\.sigma=0\.2 found beside"):
        score.check_level(0.2)


def test_training_noise_is_log_normal():
    score, clean, eps, level = MLPScore((1,), noise_mean=-0.7, noise_std=0.4), *torch.randn(3, 5, 1)
    sigma = torch.exp(-0.7 + 0.4 * level)
    denoised = clean + sigma * eps + sigma**2 * score(clean + sigma * eps, sigma[:, 0])
    expected = (denoised - clean).square() * (1 + sigma**2) / sigma**2
    torch.testing.assert_close(score.denoising_error(clean, eps, level), expected[:, 0])


class GaussianTruth(MLPScore):
    """The exact preconditioned score of ``N(0, P)``, times ``1 + error``."""

    P = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
    error = 0.0

    def network_output(self, x, sigma):
        s = -torch.einsum(
            "bij,bj->bi", torch.linalg.inv(self.P + sigma[..., None] ** 2 * torch.eye(2)), x
        )
        return sigma * (1 + sigma**2).sqrt() * ((1 + self.error) * s + x / (1 + sigma**2))


@pytest.mark.parametrize("error", [-0.3, -0.1, 0.1, 0.3])
def test_denoising_error_grows_by_the_squared_error_of_the_score(error):
    truth, n = GaussianTruth((2,)), 100_000
    clean = torch.randn(n, 2) @ torch.linalg.cholesky(truth.P).T
    eps, level = torch.randn(n, 2), torch.randn(n, 1)
    least = truth.denoising_error(clean, eps, level)
    sigma = torch.exp(truth.noise_mean + truth.noise_std * level)
    s = truth(clean + sigma * eps, sigma[:, 0])
    expected = ((error * sigma * (1 + sigma**2).sqrt() * s) ** 2).mean(1)
    truth.error = error
    excess = truth.denoising_error(clean, eps, level) - least
    assert excess.mean() > 0
    assert abs((excess - expected).mean()) < 4 * (excess - expected).std() / n**0.5


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_denoising_obeys_tweedie(conservative, x, sigma):
    denoised = conservative.denoise(x, sigma)
    torch.testing.assert_close((denoised - x) / sigma**2, conservative(x, sigma))
    points = torch.randn(20, 3)
    empirical = EmpiricalScore(points)
    torch.testing.assert_close(
        empirical.denoise(x, sigma), empirical.posterior_mean(x, sigma, points)
    )


# registry


@pytest.mark.parametrize("seed", [0, 1])
def test_build_score_is_a_function_of_the_seed(seed, x):
    first, again, other = (build_score("mlp", (3,), x, seed=s) for s in (seed, seed, seed + 1))
    assert torch.equal(first(x, 0.2), again(x, 0.2))
    assert not torch.equal(first(x, 0.2), other(x, 0.2))


def test_build_score_leaves_the_global_seed_alone(x):
    state = torch.get_rng_state()
    build_score("mlp", (3,), x, seed=3)
    assert torch.equal(torch.get_rng_state(), state)


def test_unknown_scores_and_grids_for_a_perceptron_are_refused(x):
    with pytest.raises(InputError, match=r"score\.name=torch\.nn\.Linear"):
        build_score("torch.nn.Linear", (3,), x)
    with pytest.raises(InputError, match=r"\(2, 8, 8\)"):
        MLPScore((2, 8, 8))


def test_score_is_an_interface():
    with pytest.raises(TypeError, match="abstract"):
        Score()


@pytest.mark.parametrize("module", ["nn.convolution", "nn.mlp", "score.empirical", "score.frames"])
def test_the_examples_run(module):
    torch.set_default_dtype(torch.float32)
    result = doctest.testmod(importlib.import_module(f"eqflow.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
