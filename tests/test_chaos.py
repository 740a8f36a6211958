import math
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from eqflow.data import Snapshots, Standardiser
from eqflow.errors import InputError
from eqflow.evaluation import Protocol, Reference, chaos, member_chaos, true_chaos
from eqflow.fields import Ensemble, VelocityField, build_field
from eqflow.fields.families import FAMILIES
from eqflow.fields.linear import MinusX
from eqflow.metrics import (
    Growth,
    LyapunovSpectrum,
    autocorrelation,
    growth,
    integrated_autocorrelation_time,
    kaplan_yorke,
    return_map,
)
from eqflow.score import EmpiricalScore, MLPScore
from eqflow.simulate import RK4
from eqflow.stationarity import jacobian
from eqflow.stationarity.divergence import exact
from eqflow.systems import Dysts, Lorenz63

LORENZ = Lorenz63()
SAMPLE = LORENZ.sample(1200, 0, runs=400).states
UNITS = Standardiser.of(SAMPLE)
TURN = torch.tensor([[0.0, 1.0], [-1.0, 0.0]]).double()


def starts(n, dim):
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(0), dtype=torch.double)


def linear(matrix):
    return lambda x: x @ matrix.T


def shear(x):
    return torch.stack([x[:, 1], 0 * x[:, 0]], 1)


def swirl(x):
    """``A grad H`` with ``H = |x|^2 / 2 + cos(2 x + y) + cos 2 z``: no divergence anywhere."""
    waves = [-2 * (2 * x[:, 0] + x[:, 1]).sin(), -(2 * x[:, 0] + x[:, 1]).sin()]
    slopes = x + torch.stack([*waves, -2 * (2 * x[:, 2]).sin()], 1)
    skew = torch.tensor([[0.0, 1, -0.5], [-1, 0, 0.7], [0.5, -0.7, 0]]).double()
    return slopes @ skew.T


def measured(found):
    metric = LyapunovSpectrum()
    metric.update(found)
    return metric.compute()


def on_lorenz(n):
    return SAMPLE[:n]


# exponents that are known


def test_a_linear_field_has_the_real_parts_of_its_eigenvalues():
    draw = torch.Generator().manual_seed(3)
    basis = torch.eye(4) + 0.2 * torch.randn(4, 4, generator=draw, dtype=torch.double)
    blocks = torch.zeros(4, 4, dtype=torch.double)
    blocks[0, 0], blocks[1:3, 1:3], blocks[3, 3] = 0.4, -0.2 * torch.eye(2) + 2 * TURN, -1.5
    matrix = basis @ blocks @ torch.linalg.inv(basis)
    found = growth(linear(matrix), starts(3, 4), 60, 20, 0.1)
    expected = torch.tensor([0.4, -0.2, -0.2, -1.5]).double()
    bound = 2 * math.log(torch.linalg.cond(basis).item()) / found.duration  # axes are oblique
    assert (found.exponents - expected).abs().max() < bound < 0.1
    assert (found.exponents.sum(1) - matrix.trace()).abs().max() < 1e-3
    assert measured(found)["positive"] == 1


def test_an_axis_that_does_not_grow_is_not_followed():
    found = growth(linear(torch.diag(torch.tensor([-1.0, 2.0])).double()), starts(2, 2), 20, 10)
    assert found.exponents[0].tolist() == pytest.approx([2, -1], abs=1e-4)


def test_a_rotation_has_no_exponents():
    found = growth(linear(TURN), starts(4, 2), 50, 10)
    assert found.exponents.abs().max() < 1e-5
    assert measured(found)["positive"] == 0


def test_a_shear_reads_the_resolution_and_is_not_chaotic():
    found = growth(shear, starts(4, 2), 100, 100, 0.1)
    assert found.exponents[:, 0].mean().item() == pytest.approx(found.resolution, rel=0.02)
    assert found.exponents.sum(1).abs().max() < 1e-9
    assert measured(found)["positive"] == 0


def test_an_antisymmetric_map_of_a_gradient_keeps_volumes():
    found = growth(swirl, starts(8, 3), 20, 5, 0.02)
    assert found.exponents.sum(1).abs().max() < 1e-5
    assert found.exponents.abs().max() > 1e-2  # else it would say nothing


def test_the_sum_of_lorenz_is_its_constant_divergence_all_along():
    found = growth(LORENZ.velocity, on_lorenz(8), 0.5, 0.1, 0.002)
    assert (found.rates.sum(2) + 10 + 1 + 8 / 3).abs().max() < 1e-5


@pytest.fixture(scope="module")
def spectrum():
    return measured(growth(LORENZ.velocity, on_lorenz(96), 20, 4, 0.0125))


def test_lorenz_has_its_published_exponents(spectrum):
    published = torch.tensor([0.9056, 0, -14.5723]).double()
    assert ((spectrum["exponents"] - published).abs() < 4 * spectrum["errors"] + 0.003).all()
    assert spectrum["errors"].max() < 0.02
    assert spectrum["escaped"] == 0


def test_lorenz_is_chaotic_and_has_its_dimension(spectrum):
    assert spectrum["positive"] > 0.95
    assert kaplan_yorke(spectrum["exponents"]) == pytest.approx(2.062, abs=0.003)


def test_the_error_of_a_step_falls_with_its_fourth_power():
    matrix = torch.tensor([[-0.7, 2.0], [-1.1, -0.3]]).double()

    def error(dt):
        found = growth(linear(matrix), starts(1, 2), 10, 0, dt)
        return (found.exponents.sum() - matrix.trace()).abs().item()

    assert math.log2(error(0.2) / error(0.1)) == pytest.approx(4, abs=0.3)


def test_the_tangents_are_those_of_the_flow():
    x0, dt = on_lorenz(4), 0.002
    found = growth(LORENZ.velocity, x0, 0.2, 0.0, dt)
    times = torch.tensor([0, 0.2]).double()

    def flow(x):
        return RK4(dt)(LORENZ.velocity, x, times)[1]

    h = 1e-5 * torch.eye(3).double()
    maps = torch.stack([(flow(x0 + e) - flow(x0 - e)) / 2e-5 for e in h], 2)
    assert torch.allclose(found.exponents.sum(1), maps.det().log() / 0.2, rtol=1e-4)


# speed, escapes, convergence


def test_exponents_follow_the_speed_and_their_ratios_do_not():
    x0 = on_lorenz(4)
    slow = growth(LORENZ.velocity, x0, 2, 1, 0.01)
    fast = growth(lambda x: 4 * LORENZ.velocity(x), x0, 0.5, 0.25, 0.0025)
    assert torch.allclose(fast.exponents, 4 * slow.exponents, rtol=1e-6)
    assert torch.allclose(fast.speed, 16 * slow.speed)
    assert fast.resolution == pytest.approx(4 * slow.resolution)


def test_trajectories_that_leave_are_dropped_and_counted():
    def leaving(x):  # beyond 1 the first coordinate runs to infinity in a finite time
        return torch.stack([x[:, 0] ** 2 - x[:, 0], -x[:, 1]], 1)

    x0 = torch.tensor([[0.5, 1.0], [1.5, 1.0], [-0.5, 1.0], [0.1, 100.0]]).double()
    found = growth(leaving, x0, 20, 10, radius=5.0)
    spectrum = measured(found)
    assert found.exponents.isfinite().all(1).tolist() == [True, False, True, False]
    assert spectrum["escaped"] == 0.5
    assert spectrum["exponents"].tolist() == pytest.approx([-1, -1], abs=1e-4)


def test_one_window_has_no_error_of_its_own_and_no_trajectory_left():
    found = growth(linear(TURN), starts(4, 2), 1, 0, 0.1)
    assert len(found.rates) == 1
    assert measured(found)["escaped"] == 0
    assert measured(found)["exponents"].isfinite().all()


def test_running_exponents_end_in_the_exponents():
    found = growth(LORENZ.velocity, on_lorenz(4), 2, 1, 0.01)
    assert torch.allclose(found.running[-1], found.exponents)
    assert torch.allclose(found.running[0], found.rates[0])


@pytest.mark.parametrize(("spread", "chaotic"), [(0.01, 1), (0.2, 0)])
def test_a_mean_exponent_is_chaos_only_beyond_its_errors(spread, chaotic):
    largest = 0.1 + spread * torch.tensor([1.0, -1.0, 0.5, -0.5]).double()
    rates = torch.stack([largest, -largest], 1).expand(100, 4, 2)
    states = torch.zeros(1001, 4, 2)
    found = Growth(rates, torch.ones(4).double(), states, window=1.0, transient=20.0)
    assert found.resolution < 0.1  # of which the mean alone is beyond
    assert measured(found)["chaotic"] == chaotic


# dimension


@pytest.mark.parametrize(
    ("exponents", "dimension"),
    [
        ([-0.1, -1.0], 0),
        ([0.0, -1.0], 1),
        ([0.9, 0.0, -14.4], 2 + 0.9 / 14.4),
        ([0.0, -14.4, 0.9], 2 + 0.9 / 14.4),
        ([1.0, 0.0, -1.0], 3),
        ([1.0, 1.0, -0.5], 3),
        ([0.2, 0.0, -0.1, -0.2], 3 + 0.1 / 0.2),
    ],
)
def test_the_dimension_of_kaplan_and_yorke(exponents, dimension):
    assert kaplan_yorke(torch.tensor(exponents).double()) == pytest.approx(dimension)


# Jacobians


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("score", [MLPScore((3,)), EmpiricalScore(starts(50, 3).float())])
def test_every_family_has_its_jacobian(family, score):
    field, x = build_field(family, (3,), score, 0.5).double(), starts(5, 3)
    if family == "library":
        field.coefficients.normal_()
    with torch.no_grad():
        found = jacobian(field, x)
        assert torch.allclose(
            found.diagonal(dim1=1, dim2=2).sum(1), exact(field, x)[1], rtol=1e-6, atol=1e-9
        )
    numeric = torch.stack(
        [(field(x + 1e-5 * e) - field(x - 1e-5 * e)) / 2e-5 for e in torch.eye(3).double()], 2
    )
    assert torch.allclose(found, numeric.detach(), atol=1e-6)


def test_a_system_of_dysts_has_its_jacobian_too():
    x = on_lorenz(10)
    there = jacobian(Dysts("Lorenz").velocity, x)
    assert torch.allclose(there, jacobian(Lorenz63(beta=2.667).velocity, x), atol=1e-7)


@pytest.mark.parametrize(
    "velocity",
    [lambda x: torch.from_numpy(np.sin(x.numpy())), lambda x: x.detach().sin(), torch.ones_like],
)
def test_a_field_without_a_jacobian_is_named(velocity):
    with pytest.raises(InputError, match=r"has no Jacobian"):
        growth(velocity, starts(2, 2), 1, 1)


# series


def test_the_return_map_of_a_growing_oscillation_is_its_growth():
    times = np.arange(0, 40, 0.05)[:, None]
    pairs = return_map(np.exp(0.05 * times) * np.sin(times + np.array([0.0, 1.0])))
    assert len(pairs) == 2 * 6
    assert pairs[:, 1] / pairs[:, 0] == pytest.approx(np.exp(0.05 * 2 * np.pi), rel=1e-4)


def test_the_autocorrelation_of_an_oscillation_is_its_cosine():
    times = np.arange(0, 200 * np.pi, 0.05)[:, None]
    found = autocorrelation(3 + np.sin(times + np.array([0.0, 1.0])), 200)
    assert found == pytest.approx(np.cos(times[:200, 0]), abs=0.01)


def linear_chain(*coefficients):
    """5,000 stationary steps of 64 chains, each a sum of what it was before and noise."""
    noise = np.random.default_rng(0).normal(size=(6000, 64))
    return lfilter([1.0], [1.0, *(-a for a in coefficients)], noise, axis=0)[1000:]


@pytest.mark.parametrize("a", [-0.5, 0.0, 0.5, 0.9])
def test_the_integrated_autocorrelation_time_of_a_linear_chain(a):
    found = integrated_autocorrelation_time(linear_chain(a))
    assert found == pytest.approx((1 + a) / (1 - a), rel=0.05)


def test_the_integrated_autocorrelation_time_of_a_chain_that_turns():
    radius, angle = 0.95, 0.1
    a, b = 2 * radius * np.cos(angle), -(radius**2)
    variance = (1 - b) / ((1 + b) * ((1 - b) ** 2 - a**2))
    found = integrated_autocorrelation_time(linear_chain(a, b))
    assert found == pytest.approx(1 / (1 - a - b) ** 2 / variance, rel=0.1)


def test_a_chain_too_short_for_its_memory_has_no_autocorrelation_time():
    assert np.isnan(integrated_autocorrelation_time(linear_chain(0.9)[:50]))


# the evaluation


class Truth(VelocityField):
    centred = False

    def unscaled(self, x):
        return UNITS.standard_velocity(LORENZ.velocity)(x)


@pytest.fixture(scope="module")
def lorenz():
    z = UNITS.standard(SAMPLE).float()
    velocity = UNITS.standard_velocity(LORENZ.velocity)
    return Snapshots(z[:600], z[600:800], z[800:], UNITS, velocity)


@pytest.fixture(scope="module")
def numbers(lorenz):
    field = Truth((3,)).normalise_([lorenz.train])
    reference = Reference(lorenz, 0.0, Protocol(chaos=8))
    return chaos(field, reference, RK4()) | true_chaos(reference, RK4())


def test_the_true_field_and_the_truth_agree(numbers):
    error = numbers["chaos/lyapunov_max_error"] + numbers["truth/chaos/lyapunov_max_error"]
    assert abs(numbers["chaos/lyapunov_max"] - numbers["truth/chaos/lyapunov_max"]) < 3 * error
    for name in ("lyapunov_sum", "kaplan_yorke"):
        there = numbers[f"truth/chaos/{name}"]
        assert numbers[f"chaos/{name}"] == pytest.approx(there, rel=0.01)
    assert numbers["chaos/positive"] > 0.9


def test_rates_in_transit_times_are_those_in_units_of_time(numbers):
    # v is scaled to unit speed, hence a unit of time to a transit time of the system
    transit = UNITS.standard_velocity(LORENZ.velocity)(UNITS.standard(SAMPLE)[:600])
    speed = transit.square().mean().sqrt().item()
    assert numbers["truth/chaos/lyapunov_sum"] * speed == pytest.approx(-41 / 3, rel=1e-3)
    assert numbers["truth/chaos/kaplan_yorke"] == pytest.approx(2.062, abs=0.01)


def test_a_field_that_comes_to_rest_has_dimension_zero(lorenz):
    field = MinusX((3,)).normalise_([lorenz.train])
    found = chaos(field, Reference(lorenz, 0.2, Protocol(chaos=4)), RK4())
    assert found["chaos/kaplan_yorke"] == 0
    assert found["chaos/lyapunov_max"] == pytest.approx(-field.scale.item(), rel=1e-3)
    assert found["chaos/positive"] == 0


def test_a_field_that_throws_all_states_out_has_no_exponents(lorenz):
    away = MinusX((3,))
    away.scale.neg_()
    found = chaos(away, Reference(lorenz, 0.0, Protocol(chaos=4)), RK4())
    assert found["chaos/escaped"] == 1
    assert "chaos/lyapunov_max" not in found


def test_trajectories_start_in_different_runs(lorenz, monkeypatch):
    """Neighbours of the held-out split may be of one run, and their orbits nearly one."""
    started, module = [], import_module("eqflow.evaluation.chaos")
    settled = module.growth
    monkeypatch.setattr(module, "growth", lambda v, x, *a: started.append(x) or settled(v, x, *a))
    runs = lorenz.test[:10].repeat_interleave(4, 0)  # ten runs of four states
    protocol = Protocol(chaos=5, chaos_duration=1.0)
    reference = Reference(replace(lorenz, test=runs), 0.0, protocol)
    chaos(MinusX((3,)), reference, RK4())
    true_chaos(reference, RK4())
    member_chaos(Ensemble([MinusX((3,))]), reference, RK4())
    assert [len(x.unique(dim=0)) for x in started] == [5, 10, 5]


def test_images_many_dimensions_and_light_protocols_are_left_out(lorenz):
    assert chaos(MinusX((3,)), Reference(lorenz, 0.0, Protocol(chaos=0)), RK4()) == {}
    assert chaos(MinusX((11,)), Reference(lorenz, 0.0, Protocol()), RK4()) == {}


def test_a_negative_number_of_trajectories_is_refused():
    with pytest.raises(InputError, match=r"protocol\.chaos=-1"):
        Protocol(chaos=-1)


class Thomas(VelocityField):
    """Bounded for a positive drag, chaotic for a small one; a negative one throws states out."""

    centred = False

    def __init__(self, drag):
        super().__init__((3,))
        self.drag = torch.nn.Parameter(torch.tensor(drag))

    def unscaled(self, x):
        return 3 * (2 * x.roll(-1, 1)).sin() - self.drag * x


def test_members_of_an_ensemble_have_the_exponents_of_each_alone(lorenz):
    reference = Reference(lorenz, 0.2, Protocol(chaos=3, chaos_duration=40.0))
    fields = [Thomas(drag) for drag in (0.5, 6.5, -0.05)]
    with torch.no_grad():
        together = member_chaos(Ensemble(fields), reference, RK4(0.1))
        alone = [chaos(field, reference, RK4(0.1)) for field in fields]
    assert [found["chaos/escaped"] for found in together] == [0, 0, 1]
    assert [found.get("chaos/chaotic") for found in together] == [1, 0, None]
    assert [found.keys() for found in together] == [found.keys() for found in alone]
    assert together[0]["chaos/lyapunov_sum"] == pytest.approx(-1.5, rel=1e-3)
    assert together[1] == pytest.approx(alone[1], rel=1e-3, abs=1e-3)  # no chaos: the same orbits
