from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.func import jacrev, vmap

from eqflow.errors import InputError
from eqflow.fields import Network, build_field
from eqflow.fields.linear import MinusX, ScoreMap, skew_matrix
from eqflow.score import MLPScore
from eqflow.stationarity import check_dim, hutchinson, rademacher, strong_moments
from eqflow.stationarity.divergence import exact
from eqflow.stationarity.residual import residual

pytestmark = pytest.mark.usefixtures("double")


def trace(velocity, x):
    jacobian = vmap(jacrev(lambda row: velocity(row[None])[0]))(x)
    dim = x[0].numel()
    return jacobian.reshape(len(x), dim, dim).diagonal(dim1=1, dim2=2).sum(1)


MIXING = torch.tensor([[1.0, -0.5, 0.3], [0.8, 0.2, -1.1], [-0.4, 0.9, 0.6]], dtype=torch.float64)


def curl(x):
    """A nonlinear field of vectors with a full Jacobian."""
    return torch.sin(x @ MIXING) * x.roll(1, 1)


def reaction(x):
    """A nonlinear field of grids: diffusion and a local reaction."""
    return x.roll(1, -1) - 3 * x + x.roll(-1, -2) * x**2


def networks():
    return [Network((3,), width=16), Network((3,), width=16, fourier=4, bandwidth=2.0)]


# divergence


@pytest.mark.parametrize("which", [0, 1], ids=["plain", "fourier"])
@pytest.mark.parametrize("generic", [False, True], ids=["own pass", "jvps"])
def test_exact_divergence_of_a_network_is_the_trace_of_its_jacobian(which, generic):
    x = torch.randn(6, 3)
    field = networks()[which].normalise_([2 * torch.randn(50, 3)])
    velocity = (lambda x: field(x)) if generic else field
    v, divergence = exact(velocity, x)
    torch.testing.assert_close(v, field(x), rtol=0, atol=1e-13)
    torch.testing.assert_close(divergence, trace(field, x), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("velocity", "shape"), [(curl, (3,)), (reaction, (2, 3, 4))])
def test_exact_divergence_of_any_formula_is_the_trace_of_its_jacobian(velocity, shape):
    x = torch.randn(5, *shape)
    v, divergence = exact(velocity, x)
    torch.testing.assert_close(v, velocity(x))
    torch.testing.assert_close(divergence, trace(velocity, x), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("which", [0, 1], ids=["plain", "fourier"])
def test_both_exact_divergences_have_the_same_gradient(which):
    x, field = torch.randn(4, 3), networks()[which]
    weights = [p for name, p in field.named_parameters() if name != "network.last.bias"]
    own, generic = (
        torch.autograd.grad(exact(velocity, x)[1].square().sum(), weights)
        for velocity in (field, lambda x: field(x))
    )
    torch.testing.assert_close(own, generic)


def test_exact_divergence_refuses_more_dimensions_than_it_can_afford():
    check_dim((256,))
    with pytest.raises(InputError, match=r"d = 512.*hutchinson"):
        exact(MinusX((2, 16, 16)), torch.randn(1, 2, 16, 16))


@pytest.mark.parametrize(("velocity", "shape"), [(curl, (3,)), (reaction, (2, 2, 2))])
def test_hutchinson_is_unbiased(velocity, shape):
    x, n = torch.randn(4, *shape), 20_000
    v, estimates = hutchinson(velocity, x, rademacher(torch.empty(n, 4, *shape)))
    torch.testing.assert_close(v, velocity(x))
    error = (estimates.mean(0) - trace(velocity, x)).abs()
    assert (error <= 4 * estimates.std(0) / n**0.5 + 1e-12).all()


def test_hutchinson_variance_is_half_the_squared_symmetric_part_off_the_diagonal():
    matrix, n = torch.randn(4, 4), 40_000
    _, estimates = hutchinson(
        lambda x: x @ matrix.T, torch.zeros(1, 4), rademacher(torch.empty(n, 1, 4))
    )
    symmetric = matrix + matrix.T
    variance = (symmetric - torch.diag(symmetric.diagonal())).square().sum() / 2
    squares = (estimates - matrix.trace()).square()
    assert abs(squares.mean() - variance) < 4 * squares.std() / n**0.5


@pytest.mark.parametrize("matrix", [torch.diag(torch.tensor([1.0, -2, 5])), skew_matrix(3, 0)])
def test_hutchinson_is_exact_without_an_off_diagonal_symmetric_part(matrix):
    matrix = matrix.double()
    _, estimates = hutchinson(
        lambda x: x @ matrix.T, torch.zeros(1, 3), rademacher(torch.empty(50, 1, 3))
    )
    torch.testing.assert_close(estimates, matrix.trace().expand(50, 1), rtol=0, atol=1e-12)


def test_rademacher_draws_independent_fair_signs():
    n = 40_000
    signs = rademacher(torch.empty(n, 3), torch.Generator().manual_seed(0))
    assert torch.equal(signs.abs(), torch.ones(n, 3))
    assert signs.mean(0).abs().max() < 4 / n**0.5
    assert (signs.T @ signs / n - torch.eye(3)).abs().max() < 4 / n**0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_signs_are_never_zero_in_low_precision(dtype):
    assert rademacher(torch.empty(100_000, dtype=dtype)).abs().eq(1).all()


# residual


def gaussian(covariance, n=200):
    """States of ``N(0, P)`` and their score."""
    x = torch.randn(n, len(covariance)) @ torch.linalg.cholesky(covariance).T
    return x, -x @ torch.linalg.inv(covariance)


def spd(dim):
    root = torch.randn(dim, dim)
    return root @ root.T + torch.eye(dim)


def sprott_a(x):
    x, y, z = x.unbind(1)
    return torch.stack([y, -x + y * z, 1 - y**2], 1)


def nose_hoover(x, a=1.5):
    x, y, z = x.unbind(1)
    return torch.stack([y, -x + y * z, a - y**2], 1)


def linear(covariance):
    """``v = A P^-1 x``, which preserves ``N(0, P)``."""
    matrix = skew_matrix(len(covariance), 1) @ torch.linalg.inv(covariance)
    return lambda x: x @ matrix.T


PRESERVED = {
    "rotation of N(0, I)": lambda: (linear(torch.eye(4)), torch.eye(4)),
    "A P^-1 x on N(0, P)": lambda: (linear(P := spd(4)), P),
    "SprottA on N(0, I)": lambda: (sprott_a, torch.eye(3)),
    "NoseHoover on N(0, a I)": lambda: (nose_hoover, 1.5 * torch.eye(3)),
}


@pytest.mark.parametrize("name", PRESERVED)
def test_residual_vanishes_where_the_distribution_is_preserved(name):
    velocity, covariance = PRESERVED[name]()
    x, score = gaussian(covariance)
    r, v = residual(velocity, x, score)
    assert v.square().mean() > 0.1
    assert r.abs().max() < 1e-11


@pytest.mark.parametrize("name", PRESERVED)
def test_residual_does_not_vanish_for_another_distribution(name):
    velocity, covariance = PRESERVED[name]()
    x, score = gaussian(covariance @ torch.diag(torch.linspace(1, 2, len(covariance))).square())
    r, v = residual(velocity, x, score)
    assert r.square().mean() > 1e-3 * v.square().mean()


def test_residual_is_divergence_plus_velocity_times_score():
    x, score = gaussian(spd(3))
    r, _ = residual(curl, x, score)
    torch.testing.assert_close(r, trace(curl, x) + (curl(x) * score).sum(1), rtol=1e-10, atol=1e-10)


def test_a_skew_map_of_a_conservative_score_has_no_residual():
    model, x = MLPScore((4,), width=32), torch.randn(50, 4)
    field = build_field("skew", (4,), model, 0.2)
    r, v = residual(field, x, model(x, 0.2))
    assert v.square().mean() > 0.1
    assert r.abs().max() < 1e-10


def test_a_skew_map_of_a_free_score_has_the_residual_of_its_curl():
    model, x = MLPScore((2,), width=32, conservative=False), torch.randn(50, 2)
    matrix = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    r, _ = residual(ScoreMap((2,), matrix, model, 0.2), x, model(x, 0.2))
    J = vmap(jacrev(lambda row: model(row[None], 0.2)[0]))(x)
    torch.testing.assert_close(r, J[:, 1, 0] - J[:, 0, 1], rtol=1e-10, atol=1e-10)
    assert r.abs().max() > 1e-3


@pytest.mark.parametrize("family", ["score", "minus_x", "random_linear"])
def test_nulls_have_a_residual(family):
    model, x = MLPScore((3,), width=32), torch.randn(100, 3)
    r2, v2 = strong_moments(build_field(family, (3,), model, 0.2), x, model(x, 0.2))
    assert r2.mean() / v2.mean() > 0.1


def test_residual_of_grids_sums_over_all_coordinates():
    x = torch.randn(4, 2, 3, 3)
    r, _ = residual(lambda x: x.roll(1, -1) - x.roll(-1, -1), x, -x)
    assert r.abs().max() < 1e-12
    r, _ = residual(torch.neg, x, -x)
    torch.testing.assert_close(r, x.square().sum((1, 2, 3)) - 18)


@pytest.mark.parametrize("factor", [1e-3, -2.0, 50.0])
@pytest.mark.parametrize("probed", [False, True])
def test_relative_residual_does_not_depend_on_speed(factor, probed):
    x, score = gaussian(spd(3))
    probes = rademacher(torch.empty(2, *x.shape)) if probed else None
    (r2, v2), (scaled_r2, scaled_v2) = (
        strong_moments(lambda x, c=c: c * curl(x), x, score, probes) for c in (1.0, factor)
    )
    torch.testing.assert_close(scaled_r2 / scaled_v2, r2 / v2)


def test_two_probes_are_unbiased_for_r2_and_one_squared_is_biased_by_its_variance():
    x, score = gaussian(spd(3), n=1)
    n = 40_000
    many, scores = x.repeat(n, 1), score.repeat(n, 1)
    r, _ = residual(curl, x, score)
    probes = rademacher(torch.empty(2, n, 3))
    products, _ = strong_moments(curl, many, scores, probes)
    assert abs(products.mean() - r**2) < 4 * products.std() / n**0.5
    squares, _ = strong_moments(curl, many, scores, probes[:1].expand(2, -1, -1))
    variance = hutchinson(curl, many, probes)[1].var()
    assert abs(squares.mean() - r**2 - variance) < 4 * squares.std() / n**0.5
    assert variance > 40 * squares.std() / n**0.5


def test_threads_may_take_divergences_at_the_same_time():
    x = torch.randn(200, 3)
    expected = exact(torch.sin, x)[1]
    with ThreadPoolExecutor(4) as pool:
        divergences = list(pool.map(lambda _: exact(torch.sin, x)[1], range(200)))
    assert all(torch.equal(div, expected) for div in divergences)
