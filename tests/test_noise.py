from math import sqrt

import pytest
import torch

from eqflow.discovery.gmm import minimise
from eqflow.discovery.initial import initial_fields
from eqflow.discovery.noise import NoisyPolynomial, NoisyWeakForm, check_noise, profile_noise
from eqflow.discovery.noise.polynomial import MAX_NOISE_STD
from eqflow.errors import InputError
from eqflow.stationarity import (
    FourierFunctions,
    WeakForm,
    hotelling,
    moment_weights,
    zero_mean_test,
)
from eqflow.systems import Lorenz63
from eqflow.terms import Expressions, Polynomial, Trigonometric

pytestmark = pytest.mark.usefixtures("double")

MEAN, STD = torch.tensor([3.0, -20.0, 0.5]).double(), torch.tensor([1.5, 0.2, 8.0]).double()
LIBRARIES = [(2, 3, True), (3, 2, True), (3, 3, False), (3, 4, True)]


def library(terms, noise_std):
    return NoisyPolynomial(terms, MEAN[: terms.dim], STD[: terms.dim], noise_std)


def raw(z):
    return MEAN[: z.shape[1]] + STD[: z.shape[1]] * z


def forms(dim, degree, cross, noise_std, n=300, count=40):
    """The noise-free form and the corrected one on the same states and functions."""
    z, terms = torch.randn(n, dim), Polynomial(dim, degree, cross)
    functions = FourierFunctions.of(z, count, scales=(0.3, 2.0))
    noisy = NoisyWeakForm(z, library(terms, noise_std), functions)
    return WeakForm(z, terms(raw(z)), functions), noisy


def within(samples, truth, errors=4.5):
    """Whether the mean over the first axis is the truth, given its standard error."""
    error = samples.std(0) / sqrt(len(samples))
    return ((samples.mean(0) - truth).abs() <= errors * error + 1e-9 * truth.abs()).all()


def noisy_copies(z, noise_std, copies):
    return (z + noise_std * torch.randn(copies, *z.shape)).flatten(0, 1)


# estimates


@pytest.mark.parametrize(("dim", "degree", "cross"), LIBRARIES)
def test_estimates_of_monomials_are_unbiased(dim, degree, cross):
    z, terms, copies = torch.randn(4, dim), Polynomial(dim, degree, cross), 20_000
    values = library(terms, 0.3)(noisy_copies(z, 0.3, copies)).view(copies, 4, -1)
    assert within(values, terms(raw(z)))


def test_estimates_are_hermite_polynomials():
    z, s = torch.randn(5, 1), 0.4
    one, x, x2, x3, x4 = library(Polynomial(1, 4), s)(z).T
    y, v = raw(z)[:, 0], (s * STD[0]) ** 2
    torch.testing.assert_close(one, torch.ones(5))
    torch.testing.assert_close(x, y)
    torch.testing.assert_close(x2, y**2 - v)
    torch.testing.assert_close(x3, y**3 - 3 * v * y)
    torch.testing.assert_close(x4, y**4 - 6 * v * y**2 + 3 * v**2)


@pytest.mark.parametrize(("dim", "degree", "cross"), LIBRARIES)
def test_estimate_of_the_gram_matrix_is_unbiased(dim, degree, cross):
    z, terms, batches = torch.randn(4, dim), Polynomial(dim, degree, cross), 100
    theta = terms(raw(z))
    scale = theta.square().mean(0).sqrt()
    noisy = library(terms, 0.3)
    values = noisy(noisy_copies(z, 0.3, 50 * batches)).view(batches, -1, len(terms))
    grams = torch.stack([noisy.gram(v.T @ v / len(v)) for v in values])
    assert within(
        grams / torch.outer(scale, scale), theta.T @ theta / 4 / torch.outer(scale, scale)
    )


@pytest.mark.parametrize(("dim", "degree", "cross"), LIBRARIES)
def test_estimates_of_moments_are_unbiased_up_to_the_factor_of_their_function(dim, degree, cross):
    z, terms, copies, s = torch.randn(3, dim), Polynomial(dim, degree, cross), 20_000, 0.3
    functions = FourierFunctions.of(torch.randn(50, dim), 6, scales=(0.5, 3.0))
    clean, xi = WeakForm(z, terms(raw(z)), functions), torch.randn(len(terms) * dim)
    noisy = NoisyWeakForm(noisy_copies(z, s, copies), library(terms, s), functions, rms=clean.rms)
    factor = torch.exp(-(s**2) * functions.frequencies.square().sum(1) / 2)
    assert within(noisy.moments(xi).view(copies, 3, -1), factor * clean.moments(xi))


def test_uncorrected_moments_are_biased():
    z, terms, copies, s = torch.randn(3, 2), Polynomial(2, 2), 20_000, 0.3
    functions = FourierFunctions.of(torch.randn(50, 2), 6, scales=(0.5, 3.0))
    clean, xi = WeakForm(z, terms(raw(z)), functions), torch.randn(len(terms) * 2)
    y = noisy_copies(z, s, copies)
    naive = WeakForm(y, terms(raw(y)) / clean.rms, functions)
    moments = naive.moments((xi.view(-1, 2) * naive.rms[:, None]).flatten())
    assert not within(moments.view(copies, 3, -1), clean.moments(xi), errors=20)


# the interface of a weak form


@pytest.mark.parametrize(("dim", "degree", "cross"), LIBRARIES)
def test_without_noise_the_form_is_the_plain_one(dim, degree, cross):
    plain, noisy = forms(dim, degree, cross, 0.0)
    xi, u, root = torch.randn(noisy.unknowns), *torch.randn(2, plain.mix.shape[1], 7).unbind()
    pairs = [
        (noisy.rms, plain.rms),
        (noisy.gram, plain.gram),
        (noisy.jacobian, plain.jacobian),
        (noisy.normalised(xi), plain.normalised(xi)),
        (noisy.moments(xi), plain.moments(xi)),
        (noisy.moments_along(u[:, 0]), plain.moments_along(u[:, 0])),
        (noisy.covariance(xi)[0], plain.covariance(xi)[0]),
        (noisy.sampling_covariance(root), plain.sampling_covariance(root)),
    ]
    for actual, expected in pairs:
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10 * expected.abs().max())


def test_the_correction_vanishes_with_the_noise():
    z, terms = torch.randn(200, 2), Polynomial(2, 3)
    functions, xi = FourierFunctions.of(z, 20), torch.randn(20)
    change = [
        (NoisyWeakForm(z, library(terms, s), functions).moments(xi)) for s in (0.0, 1e-3, 2e-3)
    ]
    ratio = (change[2] - change[0]).norm() / (change[1] - change[0]).norm()
    assert abs(ratio - 4) < 0.01


@pytest.mark.parametrize(("dim", "degree", "cross"), LIBRARIES)
def test_moments_are_the_sum_of_those_of_the_unknowns(dim, degree, cross):
    _, form = forms(dim, degree, cross, 0.3)
    xi, units = torch.randn(form.unknowns), torch.eye(form.mix.shape[1])
    along = torch.stack([form.moments_along(u) for u in units], 2)
    moments = torch.einsum("nkm,k->nm", along, xi)
    close = {"rtol": 1e-9, "atol": 1e-9 * moments.abs().max()}
    torch.testing.assert_close(form.moments(xi) @ form.mix, moments, **close)
    torch.testing.assert_close(form.jacobian, along.mean(0).T, **close)


@pytest.mark.parametrize(("dim", "degree", "cross"), LIBRARIES)
def test_noise_is_the_covariance_of_the_moments_of_the_unknowns(dim, degree, cross):
    _, form = forms(dim, degree, cross, 0.3)
    root = torch.randn(form.mix.shape[1], 5)
    expected = sum(torch.cov(form.moments_along(u).T, correction=0) for u in root.T)
    torch.testing.assert_close(
        form.sampling_covariance(root), expected, rtol=1e-9, atol=1e-9 * expected.max()
    )


def test_part_of_a_library_is_the_library_of_lower_degree():
    z, columns = torch.randn(100, 3), torch.arange(4)
    functions = FourierFunctions.of(z, 20)
    part = NoisyWeakForm(z, library(Polynomial(3, 2), 0.2)[columns], functions)
    linear = NoisyWeakForm(z, library(Polynomial(3, 1), 0.2), functions)
    torch.testing.assert_close(part.jacobian, linear.jacobian)
    torch.testing.assert_close(part.gram, linear.gram)


def test_unit_speed_is_finite_where_the_estimated_gram_matrix_is_indefinite():
    z = torch.randn(100, 2)
    z[:, 1] = z[:, 0]  # thinner than the noise that is claimed
    form = NoisyWeakForm(z, library(Polynomial(2, 1), 0.4), FourierFunctions.of(z, 20))
    sizes, axes = torch.linalg.eigh(form.metric)
    assert sizes[0] < 0
    assert form.normalised(axes[:, 0].contiguous()).isfinite().all()


# refusals


@pytest.mark.parametrize("noise_std", [-0.1, MAX_NOISE_STD + 0.01, 3.0, float("nan")])
def test_noise_out_of_bounds_is_refused(noise_std):
    with pytest.raises(
        InputError, match=rf"flow\.training\.noise_std={noise_std} .*from 0 to 0\.5"
    ):
        library(Polynomial(2, 2), noise_std)


@pytest.mark.parametrize(
    "terms",
    [Trigonometric(2), Expressions(2, ["x/(1 + x)"]), Polynomial(2, 1) + Trigonometric(2)],
    ids=["trigonometric", "expressions", "union"],
)
def test_terms_that_are_no_polynomial_are_refused(terms):
    with pytest.raises(
        InputError, match=r"flow\.training\.noise_std=0\.1 .*flow\.field\.harmonics"
    ):
        check_noise(terms, 0.1)


# inference


def sprott_a(x):
    """It preserves ``N(0, I)``."""
    x, y, z = x.unbind(1)
    return torch.stack([y, -x + y * z, 1 - y**2], 1)


def fitted(form, velocity, x, rms):
    theta = Polynomial(3, 2)(x) / rms
    return torch.linalg.lstsq(theta, velocity).solution.flatten()


def test_corrected_moments_of_the_true_field_pass_the_test_and_uncorrected_ones_do_not():
    x, added = torch.randn(10_000, 3), 0.4
    y, terms = x + added * torch.randn_like(x), Polynomial(3, 2)
    mean, std = y.mean(0), y.std(0)
    z, velocity = (y - mean) / std, sprott_a(x) / std
    functions = FourierFunctions.of(z, 100, scales=(0.3, 2.0))
    noisy = NoisyPolynomial(terms, mean, std, added / sqrt(1 + added**2))
    form = NoisyWeakForm(z, noisy, functions)
    xi = fitted(form, velocity, x, form.rms)
    corrected = zero_mean_test(form.moments(xi) * moment_weights(functions))
    naive = hotelling((terms(y) / form.rms) @ xi.view(-1, 3), z, functions)
    assert corrected.p_value > 0.01
    assert corrected.rank == naive.rank
    assert naive.p_value < 1e-6


@pytest.fixture(scope="module")
def lorenz():
    """Noisy states, standardised, and what is needed to look at a fit at clean ones."""
    generator = torch.Generator().manual_seed(0)
    x = Lorenz63().sample(5000, seed=0, transient=10.0, dt=0.02).states
    x = x[torch.randperm(len(x), generator=generator)]
    y = x + 0.1 * x.std(0) * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    return x, y, y.mean(0), y.std(0)


def cosine(x, std, xi, rms):
    v, w = Lorenz63().velocity(x) / std, (Polynomial(3, 2)(x) / rms) @ xi.view(-1, 3)
    return float((v * w).sum().abs() / (v.norm() * w.norm()))


def test_the_correction_recovers_lorenz_from_noisy_states(lorenz):
    x, y, mean, std = lorenz
    z, terms = (y - mean) / std, Polynomial(3, 2)
    functions, s = FourierFunctions.of(z, 80), 0.1 / sqrt(1 + 0.1**2)
    form = NoisyWeakForm(z, NoisyPolynomial(terms, mean, std, s), functions)
    naive = WeakForm(z, terms(y), functions)
    cosines = [
        cosine(x, std, minimise(f, initial_fields(f, 1)[0]).xi, f.rms) for f in (form, naive)
    ]
    assert cosines[0] > 0.99 > 0.97 > cosines[1]


def test_the_profile_finds_the_size_of_the_noise(lorenz):
    x, y, mean, std = lorenz
    z, library = (y - mean) / std, NoisyPolynomial(Polynomial(3, 2), mean, std, 0.0)
    profile = profile_noise(z, library, FourierFunctions.of(z, 80), largest=0.15, step=0.05)
    truth = 0.1 / sqrt(1 + 0.1**2)
    assert profile.low < profile.noise_std < profile.high
    assert profile.high - profile.low < 0.02
    assert abs(profile.noise_std - truth) < profile.high - profile.low
    assert cosine(x, std, profile.minimum.xi, profile.rms) > 0.99
