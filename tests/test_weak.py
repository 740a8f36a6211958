"""The weak form, its statistic and the solve: identities and known solutions."""

from dataclasses import replace
from math import comb

import pytest
import torch

from eqflow.data import Standardiser, random_order
from eqflow.discovery import Discovery, Findings
from eqflow.discovery.bootstrap import draws
from eqflow.discovery.elimination import eliminate, information_criterion, path
from eqflow.discovery.gmm import complement, minimise
from eqflow.discovery.influence import influence
from eqflow.discovery.initial import eigenfields, initial_fields
from eqflow.discovery.simulated import simulated
from eqflow.discovery.symmetries import orthogonal
from eqflow.errors import InputError
from eqflow.fields import Library
from eqflow.simulate import bounding_radius
from eqflow.stationarity import FourierFunctions, Sums, WeakForm, orientation, sums
from eqflow.systems import Lorenz63
from eqflow.terms import Polynomial


def gaussian(n: int, dim: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def form_of(z: torch.Tensor, degree: int = 2, count: int = 60) -> WeakForm:
    theta = Polynomial(z.shape[1], degree)(z)
    return WeakForm(z, theta, FourierFunctions.of(z, count))


def discover(
    x: torch.Tensor, degree: int | str = "auto", noise_std: float | None = 0.0
) -> tuple[Library, Findings]:
    units, field = Standardiser.of(x), Library((x.shape[1],), degree)
    return field, Discovery(field, units.standard(x), units, noise_std=noise_std).run()


@pytest.fixture(scope="module")
def form() -> WeakForm:
    return form_of(gaussian(2000, 3))


@pytest.fixture(scope="module")
def xi(form: WeakForm) -> torch.Tensor:
    return form.normalised(gaussian(1, form.jacobian.shape[1], seed=5)[0])


def test_moments_of_the_sample_are_the_jacobian_times_the_unknowns(form, xi):
    torch.testing.assert_close(form.mix.T @ form.moments(xi).mean(0), form.jacobian @ xi)


def test_gradient_along_a_function_is_the_moment_of_that_function(form, xi):
    u = gaussian(1, form.mix.shape[1], seed=6)[0]
    torch.testing.assert_close(form.moments_along(u) @ xi, form.moments(xi) @ form.mix @ u)


def test_covariance_is_that_of_the_combined_moments(form, xi):
    combined = form.moments(xi) @ form.mix
    expected = torch.cov(combined.T, correction=0)
    torch.testing.assert_close(form.covariance(xi)[0], expected)


def test_noise_of_a_field_is_the_weighted_trace_of_its_covariance(form, xi):
    root = gaussian(form.mix.shape[1], 7, seed=7)
    trace = (root.T @ form.covariance(xi)[0] @ root).trace()
    torch.testing.assert_close(xi @ form.sampling_covariance(root) @ xi, trace)


def test_combined_moments_are_uncorrelated_for_an_isotropic_velocity():
    z = gaussian(40_000, 2)
    functions = FourierFunctions.of(z, 20)
    form = WeakForm(z, Polynomial(2, 1)(z), functions)
    velocity = gaussian(len(z), 2, seed=9)
    h = functions.slopes(z) * (velocity @ functions.frequencies.T)
    covariance = torch.cov((h @ form.mix).T)
    # 5 standard errors of a covariance of 40,000 pairs, kurtosis allowed for by a factor of 2
    assert (covariance / 2 - torch.eye(len(covariance))).abs().max() < 2 * 5 / len(z) ** 0.5


def test_sums_over_parts_add_up_to_the_whole():
    z = gaussian(900, 2)
    theta, functions = Polynomial(2, 2)(z), FourierFunctions.of(z, 30)
    parts = [sums(z[a:b], theta[a:b], functions) for a, b in ((0, 100), (100, 900))]
    whole = WeakForm(z, theta, functions)
    added = WeakForm(z, theta, functions, Sums(*map(sum, zip(*parts, strict=True))))
    torch.testing.assert_close(added.jacobian, whole.jacobian)
    torch.testing.assert_close(added.gram, whole.gram)


def test_statistic_does_not_depend_on_speed_or_sign(form, xi):
    values = [minimise(form, c * xi, steps=0).statistic for c in (1.0, -3.0, 1e-3)]
    assert values == pytest.approx([values[0]] * 3, rel=1e-9)


def test_gradient_is_that_of_the_statistic(form, xi):
    minimum = minimise(form, xi, steps=0)
    # along directions that leave the speed as it is
    direction = gaussian(1, len(xi), seed=8)[0]
    direction -= xi * (xi @ form.metric @ direction) / form.dim
    step = 1e-5
    up, down = (
        minimise(form, minimum.xi + s * direction, steps=0).statistic for s in (step, -step)
    )
    assert 2 * float(minimum.gradient @ direction) == pytest.approx(
        (up - down) / (2 * step), rel=1e-4
    )


def test_the_gradient_vanishes_at_the_minimum(form, xi):
    start, end = minimise(form, xi, steps=0), minimise(form, xi, steps=400, tolerance=0)
    assert end.statistic < start.statistic
    assert end.gradient.norm() < 1e-5 * start.gradient.norm()


def test_a_minimum_among_orthogonal_fields_is_orthogonal_and_has_no_gradient_there(form, xi):
    others = initial_fields(form)[0][:, None]
    start = minimise(form, orthogonal(form, xi, others), steps=0)
    end = minimise(form, start.xi, steps=400, tolerance=0, orthogonal_to=others)
    assert abs(float(end.xi @ form.metric @ others[:, 0])) < 1e-8
    free = complement(form.metric @ others)
    assert (free.T @ end.gradient).norm() < 1e-5 * (free.T @ start.gradient).norm()


def test_eigenfields_are_ordered_by_their_own_ratio(form):
    root = torch.eye(form.mix.shape[1], dtype=torch.float64)
    values, fields = eigenfields(form, root)
    moments = form.jacobian @ fields
    ratio = (
        form.effective_size
        * moments.square().sum(0)
        / (fields * (form.sampling_covariance(root) @ fields)).sum(0)
    )
    torch.testing.assert_close(ratio, values, rtol=1e-6, atol=1e-8)
    assert bool((values.diff() >= -1e-9).all())


def test_each_step_of_the_path_is_the_least_rise_of_the_quadratic_model(form):
    minimum = minimise(form, initial_fields(form)[0])
    first, second = path(form, minimum)[:2]
    rises = []
    covariance = influence(form, minimum).covariance
    for k in range(len(first.values)):
        # least d.V^-1.d subject to d_k = -xi_k
        rises.append(float(first.values[k] ** 2 / covariance[k, k]))
    assert second.rise == pytest.approx(min(rises), rel=1e-4)


def neighbours(support: set[int], size: int) -> list[list[int]]:
    """Supports that differ by one unknown taken away, one added, or two exchanged."""
    inside, outside = sorted(support), sorted(set(range(size)) - support)
    changes = [({k}, set()) for k in inside] + [(set(), {k}) for k in outside]
    changes += [({a}, {b}) for a in inside for b in outside]
    return [sorted(support - away | back) for away, back in changes]


def test_no_neighbouring_support_has_a_lower_information_criterion(form):
    sparse = eliminate(form, minimise(form, initial_fields(form)[0]))
    kept = set(sparse.support.tolist())
    assert not sparse.xi[sorted(set(range(len(sparse.xi))) - kept)].any()
    for neighbour in map(torch.tensor, neighbours(kept, len(sparse.xi))):
        xi = torch.zeros_like(sparse.xi).index_put((neighbour,), sparse.xi[neighbour])
        refit = minimise(form, xi, neighbour)
        assert information_criterion(form, refit) > information_criterion(form, sparse)


def test_bootstrap_spread_is_that_of_repeated_estimates():
    """A rotation of the plane in a linear library, 40 samples of 4,000 states."""
    estimates, errors = [], []
    for seed in range(40):
        form = form_of(gaussian(4000, 2, seed), degree=1)
        rotation = form.normalised(torch.tensor([0.0, 0, 0, -1, 1, 0], dtype=torch.float64))
        minimum = minimise(form, rotation)
        effects = influence(form, minimum).effects
        errors.append(draws(effects, form.effective_size, 200, seed=seed).std(0))
        estimates.append(minimum.xi / minimum.xi[4])
    error = torch.stack(errors).mean(0)
    ratio = torch.stack(estimates).std(0)[:3] / error[:3]
    # the standard error of a spread of 40 is 11 %
    assert bool((ratio > 0.6).all())
    assert bool((ratio < 1.5).all())


def test_bootstrap_of_duplicated_states_by_group_is_that_of_single_ones():
    effects, labels = gaussian(500, 3), torch.arange(500)
    single = draws(effects, 500, 400)
    double = draws(effects.repeat(2, 1), 1000, 400, groups=labels.repeat(2))
    torch.testing.assert_close(single, double)


@pytest.mark.parametrize(
    ("dim", "n"),
    [(2, 6000), (3, 6000), *(pytest.param(d, 24_000, marks=pytest.mark.slow) for d in (4, 5))],
)
def test_linear_fields_that_preserve_a_gaussian(dim, n):
    mixing = gaussian(dim, dim, seed=dim)
    _, findings = discover(gaussian(n, dim) @ mixing, degree=1)
    assert findings.dimension == comb(dim, 2)


def test_statistic_of_a_field_that_keeps_the_gaussian_is_one_per_moment():
    """SprottA, x' = y, y' = -x + y z, z' = 1 - y^2, preserves N(0, I)."""
    form = form_of(gaussian(20_000, 3), count=60)
    coefficients = torch.zeros(10, 3, dtype=torch.float64)
    for term, variable, value in ((2, 0, 1), (1, 1, -1), (8, 1, 1), (0, 2, 1), (7, 2, -1)):
        coefficients[term, variable] = value * form.rms[term]
    minimum = minimise(form, coefficients.flatten(), ridge=1e-9, steps=0)
    # chi-square with as many degrees of freedom as moments, at five standard deviations
    assert abs(minimum.statistic - minimum.moment_count) < 5 * (2 * minimum.moment_count) ** 0.5


def test_a_gaussian_is_kept_by_rotations_and_their_sense_is_not_known():
    _, findings = discover(gaussian(5000, 3))
    assert findings.degree == 1
    assert not findings.oriented
    assert "3 dimensions" in findings.reason


def test_lorenz_equations_from_unordered_states():
    system = Lorenz63()
    x = system.sample(8000, seed=3).states
    field, findings = discover(
        x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]
    )
    names = field.terms.names(["x", "y", "z"])
    kept = {(names[a], j) for a, j in field.coefficients.nonzero().tolist()}
    assert kept == {("x", 0), ("y", 0), ("x", 1), ("y", 1), ("x z", 1), ("z", 2), ("x y", 2)}
    v, w = field(field.standardiser.standard(x)), system.velocity(x) / field.standardiser.std
    assert float((v * w).sum() / (v.norm() * w.norm())) > 0.999  # signed: the attractor attracts
    assert findings.reason == ""
    assert findings.oriented
    assert findings.dimension == 1


@pytest.mark.slow
def test_noise_is_estimated_and_what_ignoring_it_costs_is_told():
    """The cosine of the two fits, at noisy states, is that of their fields."""
    x, added = Lorenz63().sample(2000, seed=0, runs=2000).states, 0.15
    y = x + added * x.std(0) * gaussian(len(x), 3, seed=1)
    field, findings = discover(y, degree=2, noise_std=None)
    truth = added / (1 + added**2) ** 0.5
    assert findings.noise_low < findings.noise_std < findings.noise_high < 0.25
    assert abs(findings.noise_std - truth) < findings.noise_high - findings.noise_low
    given, known = discover(y, degree=2, noise_std=findings.noise_std)
    assert known.noise_low == known.noise_high == known.noise_std
    assert known.blurred == findings.blurred < 0.95
    torch.testing.assert_close(field.coefficients, given.coefficients)
    assert discover(x, degree=2)[1].blurred == 1


def test_equations_that_states_leave_are_not_determined():
    """An attractor repels when time runs backwards (method section 1: most states leave)."""
    field, findings = discover(Lorenz63().sample(4000, seed=0, runs=4000).states)
    z = field.standardiser.standard(Lorenz63().sample(200, seed=1).states)
    assert simulated(field, z, bounding_radius(z)).escaped == findings.escaped == 0
    field.coefficients *= -1
    assert simulated(field, z, bounding_radius(z)).escaped > 0.8
    assert findings.reason == ""
    assert replace(findings, escaped=0.01).reason == ""
    assert replace(findings, escaped=0.015).reason.startswith("2% of the states leave")


def test_a_library_that_misses_the_truth_is_rejected():
    x = Lorenz63().sample(4000, seed=1).states
    _, findings = discover(x, degree=1)
    assert findings.p_value < 1e-6
    assert "no library" in findings.reason


def test_whole_groups_are_fitted_or_held_out_and_count_as_one():
    x, runs = Lorenz63().sample(3000, seed=0, runs=900, transient=25.0)
    order = random_order(len(x), runs, torch.Generator().manual_seed(0))
    units, field = Standardiser.of(x), Library((3,), 2)
    discovery = Discovery(field, units.standard(x[order]), units, runs[order])
    fitted, tested = discovery.sample.groups, discovery.held_out.groups
    assert not set(fitted.tolist()) & set(tested.tolist())
    assert len(fitted) + len(tested) == len(x)
    candidate = discovery._fitter(0.0).fit(discovery.libraries[0])
    assert candidate.test.units == len(tested.unique())


def test_an_accepted_candidate_is_refitted_to_all_snapshots():
    system = Lorenz63()
    x = system.sample(6000, seed=2, runs=6000).states
    units, field = Standardiser.of(x), Library((3,), 2)
    discovery = Discovery(field, units.standard(x), units)
    fitter = discovery._fitter(0.0)
    full = fitter.fit(discovery.libraries[0])
    sparse = fitter.eliminate(full)
    refit = fitter.refit_on_all(full, sparse)
    assert (sparse.form.effective_size, refit.form.effective_size) == (4200, 6000)
    assert torch.equal(refit.minimum.support, sparse.minimum.support)
    truth = system.velocity(x) / units.std

    def miss(candidate):
        unknowns = candidate.xi.view(-1, 3)
        v = field.theta(units.standard(x)) / candidate.form.rms @ unknowns
        return 1 - abs(float((v * truth).sum() / (v.norm() * truth.norm())))

    assert miss(refit) < miss(sparse)


def test_orientation_is_negative_on_average_or_undetermined():
    z = gaussian(4000, 1)[:, 0]
    assert orientation(z - 1).sign == 1
    assert orientation(z + 1).sign == -1
    assert not orientation(z).determined
    assert orientation(z).sign == 1


def test_orientation_allows_for_the_error_of_the_fit():
    z = gaussian(4000, 1)[:, 0] + 1
    assert not orientation(z, gaussian(400, 1)[:, 0]).determined


@pytest.mark.parametrize(
    ("x", "degree", "words"),
    [
        (torch.cat(2 * [gaussian(500, 1)], 1) @ torch.eye(2).double(), "auto", "not independent"),
        (gaussian(40, 3), 3, "60 unknowns and"),
        (gaussian(500, 2), "cubic", "flow.field.degree=cubic"),
        (gaussian(500, 3), 30, "lower flow.field.degree"),
    ],
)
def test_refusals(x, degree, words):
    with pytest.raises(InputError, match=words):
        discover(x, degree)
