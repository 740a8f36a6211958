"""What a fit says of itself: errors, and the rungs from compatible to determined equations."""

from dataclasses import replace

import pytest
import torch

from eqflow.data import Standardiser
from eqflow.discovery import Discovery, Findings
from eqflow.discovery.bootstrap import resampled
from eqflow.discovery.elimination import eliminate
from eqflow.discovery.gmm import Minimum, fixed_speed, minimise, point
from eqflow.discovery.influence import curvature, influence
from eqflow.discovery.initial import initial_fields
from eqflow.discovery.noise import NoisyPolynomial, NoisyWeakForm
from eqflow.discovery.simulated import simulated, step
from eqflow.fields import Library
from eqflow.simulate import bounding_radius
from eqflow.stationarity import Form, FourierFunctions, WeakForm
from eqflow.systems import Lorenz63
from eqflow.terms import Polynomial

LORENZ = {("x", 0), ("y", 0), ("x", 1), ("y", 1), ("x z", 1), ("z", 2), ("x y", 2)}


def gaussian(n: int, dim: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def clean(z: torch.Tensor, count: int) -> WeakForm:
    return WeakForm(z, Polynomial(z.shape[1], 2)(z), FourierFunctions.of(z, count))


def noisy(z: torch.Tensor, count: int) -> NoisyWeakForm:
    units = torch.zeros(z.shape[1]).double(), torch.ones(z.shape[1]).double()
    terms = NoisyPolynomial(Polynomial(z.shape[1], 2), *units, 0.2)
    return NoisyWeakForm(z, terms, FourierFunctions.of(z, count))


@pytest.fixture(scope="module", params=[clean, noisy])
def form(request) -> Form:
    z = Lorenz63().sample(1500, seed=3, runs=1500).states
    return request.param((z - z.mean(0)) / z.std(0), 60)


@pytest.fixture(scope="module")
def fit(form: Form) -> Minimum:
    return minimise(form, initial_fields(form)[0], steps=40, tolerance=1e-9)


def test_weighted_jacobian_is_the_mean_of_weights_times_moments(form):
    weights, size = gaussian(form.sample_size, 1)[:, 0], form.jacobian.shape[1]
    weighted = form.weighted_jacobian(weights)
    for k in (0, 7, size - 1):
        alone = torch.zeros(size).double().index_fill(0, torch.tensor([k]), 1.0)
        expected = (weights[:, None] * form.moments(alone)).mean(0)
        torch.testing.assert_close(weighted[:, k], expected)


def test_curvature_is_the_second_derivative_of_the_statistic(form, fit, monkeypatch):
    """By central differences of ``J`` itself; Gauss-Newton's second derivative is larger."""
    monkeypatch.setattr("eqflow.discovery.influence.MIN_CURVATURE", -torch.inf)

    def half_j(xi):
        return point(form, xi, fit.ridge).statistic / 2

    axes, h = torch.linalg.qr(gaussian(len(fit.xi), 3, seed=1)).Q.T, 1e-3
    across = form.metric @ fit.xi / (form.metric @ fit.xi).norm()
    axes = [axis - (axis @ across) * across for axis in axes]
    for axis in axes:
        differences = half_j(fit.xi + h * axis) - 2 * half_j(fit.xi) + half_j(fit.xi - h * axis)
        exact = float(axis @ curvature(form, fit) @ axis)
        assert exact == pytest.approx(differences / h**2, rel=1e-3)
        plain = fixed_speed(form, fit.xi, fit.support, fit.hessian)
        assert float(axis @ plain @ axis) > exact


def test_errors_are_those_of_repeated_estimates_where_moments_are_many():
    """Rotations of the plane: 40 moments of 400 states, 40 times."""
    estimates, errors = [], []
    for seed in range(40):
        form = clean(gaussian(400, 2, seed), 40)
        rotation = form.normalised(torch.tensor([0.0, 0, 0, -1, 1, 0, 0, 0, 0, 0, 0, 0]).double())
        minimum = minimise(form, rotation, steps=20, tolerance=1e-6)
        estimates.append(minimum.xi)
        errors.append(influence(form, minimum).covariance.diagonal())
    spread = torch.stack(estimates).var(0)[[0, 1, 2, 5]].mean().sqrt()
    told = torch.stack(errors).mean(0)[[0, 1, 2, 5]].mean().sqrt()
    # the standard error of a spread of 40, of four unknowns, is about 6 %
    assert 0.75 < float(spread / told) < 1.3


def test_samples_of_the_bootstrap_choose_terms_again():
    x = Lorenz63().sample(3000, seed=1, runs=3000).states
    form = clean((x - x.mean(0)) / x.std(0), 80)
    fit = eliminate(form, minimise(form, initial_fields(form)[0], steps=40))
    samples = resampled(form, fit)
    assert bool((samples.all != 0).all())
    # other samples would have chosen other terms, but those that are kept mostly
    kept = torch.zeros(30, dtype=torch.bool).index_fill(0, fit.support, True)
    share = (samples.selected != 0).double().mean(0)
    assert float(share[kept].mean()) > 0.8
    assert 0 < float(share[~kept].mean()) < 0.1
    # errors of kept terms are those of a fit of them alone
    alone = influence(form, minimise(form, fit.xi, fit.support)).covariance.diagonal().sqrt()
    same = samples.selected[((samples.selected != 0) == kept).all(1)]
    assert len(same) > 40
    spread = same[:, fit.support].std(0) / alone
    assert 0.7 < float(spread.median()) < 1.3


def test_step_follows_the_fastest_rate_of_the_equations(monkeypatch):
    field = Library((2,), degree=1)
    field.coefficients[1, 0], field.coefficients[2, 1] = -1.0, -400.0
    z = gaussian(50, 2)
    assert step(field, z, 10.0) == pytest.approx(0.5 / 400)
    monkeypatch.setattr("eqflow.discovery.simulated.VECTOR_TIME", 2.0)
    # a relaxation that steps of 0.1 would throw out
    assert simulated(field, gaussian(400, 2), 10.0).escaped == 0
    field.coefficients[2, 1] = -1.0
    assert step(field, z, 100.0) == 0.1


def discover(x: torch.Tensor, degree: int | str = "auto") -> tuple[Library, Findings]:
    units, field = Standardiser.of(x), Library((x.shape[1],), degree)
    return field, Discovery(field, units.standard(x), units).run()


@pytest.fixture(scope="module")
def lorenz() -> tuple[Library, Findings]:
    return discover(Lorenz63().sample(4000, seed=0, runs=4000).states, degree=2)


def test_intervals_of_lorenz_hold_its_coefficients(lorenz):
    field, findings = lorenz
    names = field.terms.names(["x", "y", "z"])
    low, high, share = map(torch.tensor, (findings.low, findings.high, findings.inclusion))
    kept = {(names[a], j) for a, j in field.coefficients.nonzero().tolist()}
    assert kept >= LORENZ
    assert findings.numbers()["selection/terms"] == len(kept)
    assert bool((low <= field.coefficients).all())
    assert bool((field.coefficients <= high).all())
    assert float(share[field.coefficients != 0].mean()) > 0.7
    assert float(share[field.coefficients == 0].mean()) < 0.1
    truth = torch.zeros_like(field.coefficients)
    for term, j in LORENZ:
        truth[names.index(term), j] = {"x": (-10, 28, 0), "y": (10, -1, 0)}.get(term, (0, -1, 1))[j]
    truth[names.index("z"), 2] = -8 / 3
    x = Lorenz63().sample(4000, seed=9, runs=4000).states
    speed = [
        ((field.terms(x) @ c / field.standardiser.std) ** 2).mean().sqrt()
        for c in (field.coefficients, truth)
    ]
    truth *= speed[0] / speed[1]
    held = ((low <= truth) & (truth <= high))[truth != 0]
    assert int(held.sum()) >= 6  # of seven, at 95 %


def test_lorenz_climbs_every_rung(lorenz):
    findings = lorenz[1]
    assert findings.reason == ""
    assert not any(findings.rungs.values())
    assert "equations" in repr(findings)
    assert findings.note.startswith("The sign follows from contraction")


@pytest.mark.parametrize(
    ("changed", "rung", "words"),
    [
        ({"p_value": 0.02}, "compatible", "in doubt, p = 0.02"),
        ({"dimension": 2}, "the only ones", "span 2 dimensions"),
        ({"gap": 1.0}, "the only ones", "another field"),
        ({"direction": 0.9}, "the only ones", "different directions"),
        ({"oriented": False}, "moving", "nothing shows that the states move"),
        # volume shrinks by a factor of 7 in 100 transit times: a density might hide that
        ({"divergence": -0.02}, "moving", "nothing shows that the states move"),
        ({"escaped": 0.2}, "kept when simulated", "20% of the states leave"),
        ({"drift": 3.0}, "kept when simulated", "3 times the noise floor"),
        ({"drift": float("nan")}, "kept when simulated", "the noise floor"),
    ],
)
def test_each_rung_can_fail_alone(lorenz, changed, rung, words):
    findings = replace(lorenz[1], **changed)
    assert [name for name, why in findings.rungs.items() if why] == [rung]
    assert words in findings.reason
    assert findings.note.startswith(f"Not determined: {findings.reason}")
    assert "sign follows" not in findings.note


def double_well(n: int) -> torch.Tensor:
    """States of a density with two wells, drawn exactly by rejection: they never moved."""
    draw = torch.Generator().manual_seed(0)
    x = 3.6 * torch.rand(40 * n, 2, generator=draw, dtype=torch.float64) - 1.8
    energy = 2.5 * ((x[:, 0] ** 2 - 1) ** 2 + 0.5 * x[:, 0] * x[:, 1] + 0.7 * x[:, 1] ** 2)
    chance = torch.rand(len(x), generator=draw, dtype=torch.float64)
    return x[chance < torch.exp(-energy - 0.5)][:n]


@pytest.mark.parametrize(
    "x",
    [
        gaussian(3000, 2) @ torch.tensor([[1.0, 0.6], [0.0, 0.8]]).double(),
        double_well(3000),
        torch.rand(3000, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64),
    ],
    ids=["Gaussian", "double well", "square"],
)
def test_states_that_never_moved_determine_nothing(x):
    _, findings = discover(x)
    assert findings.rungs["moving"]
    assert findings.reason


def test_a_law_that_drifts_is_not_kept_when_simulated(lorenz):
    field, _ = lorenz
    states = Lorenz63().sample(1000, seed=4, runs=1000).states
    z = field.standardiser.standard(states)
    truth = simulated(field, z, bounding_radius(z))
    assert truth.drift < 2
    slower = Library((3,), degree=2)
    slower.load_state_dict(field.state_dict())
    slower.coefficients[3, 2] *= 0.6  # z relaxes more slowly: another attractor
    assert simulated(slower, z, bounding_radius(z)).drift > 2


@pytest.mark.slow
@pytest.mark.parametrize(("size", "least"), [(3000, 0.9), (8000, 0.9)])
def test_intervals_cover_after_selection(size, least):
    """Shares of the seven coefficients of Lorenz that lie in their 95 % intervals, 20 samples."""
    shares, system = [], Lorenz63()
    for seed in range(20):
        x = system.sample(size, seed=seed, runs=size).states
        field, findings = discover(x, degree=2)
        v, w = system.velocity(x) / field.standardiser.std, field(field.standardiser.standard(x))
        speed = float((v * w).sum() / v.square().sum())
        names = field.terms.names(["x", "y", "z"])
        values = {("x", 0): -10, ("y", 0): 10, ("x", 1): 28, ("y", 1): -1, ("x z", 1): -1}
        values |= {("z", 2): -8 / 3, ("x y", 2): 1}
        places = [(names.index(term), j, value * speed) for (term, j), value in values.items()]
        shares += [findings.low[a][j] <= value <= findings.high[a][j] for a, j, value in places]
    assert sum(shares) / len(shares) >= least
