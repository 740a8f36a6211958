"""Generated data sets: the distributions that they draw from, and their seeds."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from data_modules import Dysts, Lorenz, Ring, TwoMoons, TwoPeaks
from eqflow.systems import Sample

N = 20_000
ALPHA = 1e-6


def draw(module, n=N):
    return module(seed=0).sample(n).states.double()


def assert_mean(samples, expected):
    """The mean is the expected one within 5 standard errors, per column."""
    error = (samples.mean(0) - torch.as_tensor(expected, dtype=torch.float64)).abs()
    assert (error < 5 * samples.std(0) / len(samples) ** 0.5).all()


# distributions on the plane


def test_two_peaks_are_two_round_gaussians_of_equal_weight():
    x = draw(TwoPeaks)
    side = x.sum(1).sign()
    assert_mean(side[:, None], [0.0])
    assert_mean(x, [0.0, 0.0])
    assert_mean(torch.stack([x[:, 0] ** 2, x[:, 1] ** 2, x.prod(1)], 1), [1.25, 1.25, 1.0])
    across = (x[:, 0] - x[:, 1]) / 0.5**0.5
    assert kstest(across.numpy(), "norm").pvalue > ALPHA


def test_the_ring_is_uniform_in_area():
    x = draw(Ring)
    r2, angle = x.square().sum(1), torch.atan2(x[:, 1], x[:, 0])
    assert kstest(r2.numpy(), "uniform", args=(1, 3)).pvalue > ALPHA
    assert kstest(angle.numpy(), "uniform", args=(-np.pi, 2 * np.pi)).pvalue > ALPHA
    assert_mean(torch.stack([r2 * angle.cos(), r2 * angle.sin()], 1), [0.0, 0.0])


def test_two_moons_lie_on_their_half_circles():
    x = draw(TwoMoons)
    lower = torch.tensor([1.0, 0.5]) - x
    radius = torch.minimum((x.norm(dim=1) - 1).abs(), (lower.norm(dim=1) - 1).abs())
    assert radius.max() < 0.1 * 6
    assert_mean(x, [0.5, 0.25])
    variance = [0.75 + 0.01, 0.5 - 4 / np.pi**2 + (2 / np.pi - 0.25) ** 2 + 0.01]
    assert_mean((x - torch.tensor([0.5, 0.25])) ** 2, variance)


# Lorenz


@pytest.fixture(scope="module")
def lorenz():
    runs, kept = 2000, 4
    module = Lorenz(seed=0)
    x = module.system.sample(runs * kept, seed=0, runs=runs).states
    return x, module.system.velocity(x), runs


def run_means(values, runs):
    """One row a run: states of one run are not independent, runs are."""
    return values.flatten(1).unflatten(0, (-1, runs)).mean(0)


def test_lorenz_states_are_stationary(lorenz):
    _, v, runs = lorenz
    assert_mean(run_means(v, runs), [0.0] * 3)


def test_lorenz_second_moments_do_not_change_in_time(lorenz):
    # d<x_i x_j>/dt = <x_i v_j + v_i x_j> = 0
    x, v, runs = lorenz
    flux = torch.einsum("ni,nj->nij", x, v)
    assert_mean(run_means(flux + flux.mT, runs), [0.0] * 9)


def test_lorenz_moments_obey_their_identities(lorenz):
    states, _, runs = lorenz
    x, y, z = states.T
    identities = [x, y, x * y - 8 / 3 * z, x**2 - x * y, x * y * z - 8 / 3 * z**2]
    assert_mean(run_means(torch.stack(identities, 1), runs), [0.0] * 5)


def test_lorenz_has_its_fixed_points_and_divergence():
    system = Lorenz().system
    wing = (8 / 3 * 27) ** 0.5
    fixed = torch.tensor([[0, 0, 0], [wing, wing, 27], [-wing, -wing, 27]], dtype=torch.float64)
    torch.testing.assert_close(
        system.velocity(fixed), torch.zeros(3, 3).double(), rtol=0, atol=1e-12
    )
    jacobian = torch.func.jacfwd(lambda row: system.velocity(row[None])[0])(fixed[0])
    expected = torch.tensor(
        [(-11 + 1201**0.5) / 2, (-11 - 1201**0.5) / 2, -8 / 3], dtype=torch.float64
    )
    eigenvalues = torch.linalg.eigvals(jacobian).real.sort().values
    torch.testing.assert_close(eigenvalues, expected.sort().values)


# dysts


def test_a_system_of_dysts_has_its_shape_before_setup_and_its_true_velocity():
    module = Dysts("Lorenz96", n=20, val=5, test=5, transient=5.0)
    assert module.shape == module.system.shape == (4,)
    module.setup()
    s = module.snapshots
    assert s.shape == (4,)
    raw = s.standardiser.raw(s.test)
    torch.testing.assert_close(
        s.velocity(s.test), (module.system.velocity(raw) / s.standardiser.std).float()
    )


def test_of_samples_that_all_fail_the_one_that_fails_least_is_taken(monkeypatch, caplog):
    """The true velocity is made to look wrong, least where the transient is twice the first."""
    p_values, transients = iter([1e-9, 1e-5, 1e-7]), []

    def sample(n, seed, transient):
        transients.append(transient)
        return Sample(torch.full((n, 3), transient), None)

    module = Dysts("Lorenz", n=20, val=5, test=5, transient=10.0)
    monkeypatch.setattr(module.system, "sample", sample)
    monkeypatch.setattr(module, "_p_value", lambda states, groups: next(p_values))
    assert module.sample(20).states.unique().tolist() == [20.0]
    assert transients == [10.0, 20.0, 40.0]
    assert "data.system=Lorenz" in caplog.text


# all


@pytest.mark.parametrize(
    "module", [TwoPeaks, Ring, TwoMoons, Lorenz, partial(Dysts, transient=5.0)]
)
def test_the_same_seed_gives_the_same_data_and_another_seed_other_data(module):
    first, again, other = (module(n=40, val=5, test=5, seed=seed) for seed in (0, 0, 1))
    for data in (first, again, other):
        torch.rand(3)  # the global state does not matter
        data.setup()
    assert torch.equal(first.snapshots.train, again.snapshots.train)
    assert not torch.equal(first.snapshots.train, other.snapshots.train)
    s = first.snapshots
    assert [len(part) for part in (s.train, s.val, s.test)] == [40, 5, 5]
    assert first.shape == s.shape
