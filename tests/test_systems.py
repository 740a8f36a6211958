"""Systems of dysts and Lorenz-63: right-hand sides, samples, and which are refused."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from eqflow.errors import InputError
from eqflow.simulate import RK4
from eqflow.systems import Dysts, Lorenz63, names

SHORT = {"runs": 500, "transient": 20.0}


# the right-hand side


@pytest.mark.parametrize(
    "name", ["Rossler", "Lorenz", "SprottA", "Halvorsen", "Thomas", "Colpitts", "Lorenz96"]
)
def test_many_states_at_once_give_what_single_ones_do(name):
    system = Dysts(name)
    noise = np.random.default_rng(0).normal(size=(50, *system.shape))
    x = system._mean + system._std * noise
    single = np.array([system._system.rhs(row, 0.0) for row in x], dtype=float)
    np.testing.assert_allclose(system.velocity(torch.from_numpy(x)), single, rtol=1e-12)


def test_sprott_a_has_its_velocity():
    x, y, z = states = torch.randn(3, 100, dtype=torch.float64)
    velocity = Dysts("SprottA").velocity(states.T)
    torch.testing.assert_close(velocity, torch.stack([y, -x + y * z, 1 - y**2], 1))


def test_lorenz_of_dysts_is_lorenz():
    x = 10 * torch.randn(100, 3)
    system, expected = Dysts("Lorenz"), Lorenz63(beta=2.667)
    assert system.velocity(x).dtype == torch.float64
    torch.testing.assert_close(system.velocity(x), expected.velocity(x.double()))
    spread = system.sample(1000, 0, **SHORT).states.std(0)
    torch.testing.assert_close(spread, expected.sample(1000, 0).states.std(0), rtol=0.1, atol=0)


# samples


@pytest.fixture(scope="module", params=["Rossler", "SprottA", "Halvorsen"])
def drawn(request):
    system = Dysts(request.param)
    return system, system.sample(2000, 0, **SHORT)


def test_a_time_derivative_is_zero_on_average(drawn):
    # E[v . grad phi] = 0 for phi = x_i, x_i x_j and sin(a . x), in standard deviations
    system, (states, groups) = drawn
    std = states.std(0)
    z, v = (states - states.mean(0)) / std, system.velocity(states) / std
    a = torch.randn(3, 5, dtype=torch.float64)
    products = torch.einsum("ni,nj->nij", z, v)
    flux = torch.cat([v, (products + products.mT).flatten(1), (z @ a).cos() * (v @ a)], 1)
    means = torch.stack([flux[groups == group].mean(0) for group in groups.unique()])
    assert (means.mean(0).abs() < 5 * means.std(0) / len(means) ** 0.5).all()


def test_groups_are_the_runs(drawn):
    system, (states, groups) = drawn
    assert (states.shape, groups.shape) == ((2000, 3), (2000,))
    assert groups.bincount().tolist() == [4] * 500
    assert states.unique(dim=0).shape == states.shape
    first, second = (states[groups.argsort(stable=True)][k::4] for k in (0, 1))
    times = torch.linspace(0, 1.5, 1000).double()
    path = RK4(0.01)(lambda x: system.period * system.velocity(x), first, times)
    apart = ((path - second) / states.std(0)).norm(dim=2).amax(1)
    assert times[apart.argmin()] > 0.5
    assert apart.min() < 0.05
    assert ((path - second.flip(0)) / states.std(0)).norm(dim=2).amax(1).min() > 1


def test_runs_do_not_follow_the_orbit_that_they_left():
    # neighbours leave it a fifteenth of a period apart; without a kick nine in ten meet again
    system = Dysts("Rossler")
    x = system.sample(300, 0, runs=300, transient=20.0).states
    path = RK4(0.01)(
        lambda x: system.period * system.velocity(x), x, torch.linspace(0, 1, 400).double()
    )
    apart = ((path - x.roll(-1, 0)) / x.std(0)).norm(dim=2).amin(0)
    assert (apart < 0.05).double().mean() < 0.2


def test_no_state_of_lorenz_is_left_near_the_unstable_equilibria():
    # they leave as exp(-0.19 t): 10 of 20,000 are within 2 of them at a transient of 20
    wing = (8 / 3 * 27) ** 0.5
    equilibria = torch.tensor([[wing, wing, 27.0], [-wing, -wing, 27.0]]).double()
    x = Lorenz63().sample(20_000, seed=0, runs=10_000).states
    assert torch.cdist(x, equilibria).min() > 2


def test_the_same_seed_gives_the_same_sample_and_another_another():
    system = Dysts("Halvorsen")
    first, again, other = (system.sample(30, seed, transient=2.0) for seed in (0, 0, 1))
    assert torch.equal(first.states, again.states)
    assert not torch.equal(first.states, other.states)


# refusals


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Rosler", "no such system.*Rossler"),
        ("DynSys", "no such system"),
        ("xyz", "expected a system of dysts"),
        ("MackeyGlass", "delay"),
        ("Duffing", "not autonomous"),
        ("DoublePendulum", "not bounded"),
        ("Torus", "depends on time"),
        ("BeerRNN", "many states at once"),
    ],
)
def test_systems_that_cannot_be_used_are_refused_with_the_reason(name, reason):
    with pytest.raises(InputError, match=rf"^data\.system={name}: .*{reason}"):
        Dysts(name)


@pytest.mark.parametrize(
    ("rhs", "reason"),
    [
        (lambda x, t: 10 * x.T, "infinity"),
        (lambda x, t: np.abs(x.T) ** 3 + 1, "infinity"),
        (lambda x, t: -x.T, "rest"),
        (lambda x, t: np.log(-np.abs(x.T)), "infinity"),
    ],
    ids=["exponential", "in finite time", "fixed point", "undefined"],
)
def test_systems_that_do_not_stay_are_refused(rhs, reason):
    system = Dysts("SprottA")
    system._system.rhs = rhs
    with pytest.raises(InputError, match=f"data.system=SprottA.*{reason}"):
        system.sample(10, 0, transient=5.0)


def test_a_transient_is_a_time():
    with pytest.raises(InputError, match="transient=0"):
        Dysts("SprottA").sample(10, 0, transient=0)


# the collection


def test_the_names_are_those_of_systems_that_can_be_used():
    three, usable = names(3), names()
    assert {"Rossler", "Lorenz", "SprottA", "Thomas"} < set(three) < set(usable)
    assert "Lorenz96" in set(usable) - set(three)
    assert not {"Torus", "Duffing", "MackeyGlass", "BeerRNN"} & set(usable)
    assert len(three) > 80


def test_dysts_is_loaded_when_used_and_quietly():
    code = (
        "import sys, eqflow.systems as s; assert 'dysts' not in sys.modules; "
        "import warnings; warnings.simplefilter('error', UserWarning); s.Dysts('Rossler')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
