"""Sampling: the descent of noise levels, where it starts, and copies of snapshots."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

import eqflow
from eqflow import EquilibriumFlow
from eqflow.data import novelty, spacing
from eqflow.errors import InputError
from eqflow.score import (
    MLPScore,
    Score,
    clean,
    corrected_from_noise,
    descend,
    descent,
    from_noise,
    from_snapshots,
)

WEIGHTS = torch.tensor([0.3, 0.05, 0.15, 0.1, 0.2, 0.2])
SPREADS = torch.tensor([0.05, 0.2, 0.1, 0.05, 0.3, 0.1])
CENTRES = torch.tensor([[-1.2, 0.0], [0.0, 1.4], [1.3, 0.3], [0.2, -1.5], [0.0, 0.0], [-1.0, 1.3]])


class Mixture(Score):
    """Exact score of a mixture of Gaussians, with the levels of the default trained score."""

    def __init__(self, weights: Tensor, centres: Tensor, spreads: Tensor) -> None:
        super().__init__()
        self.weights, self.centres, self.spreads = weights, centres, spreads

    def levels(self, sigma):
        return 0.01, 6.0

    def posterior(self, x, sigma=0.0):
        """Probability that a state is of each part."""
        variance = self.spreads**2 + sigma**2
        square = (x[:, None] - self.centres).square().sum(2)
        return torch.softmax(
            self.weights.log() - square / (2 * variance) - x.shape[1] / 2 * variance.log(), 1
        )

    def forward(self, x, sigma):
        pull = (self.centres - x[:, None]) / (self.spreads**2 + sigma**2)[:, None]
        return (self.posterior(x, sigma)[..., None] * pull).sum(1)

    def snapshots(self, n):
        part = torch.multinomial(self.weights, n, replacement=True)
        return self.centres[part] + self.spreads[part, None] * torch.randn(n, 2)


@pytest.fixture
def mixture():
    return Mixture(WEIGHTS, CENTRES, SPREADS)


def gaussian(variance):
    return Mixture(torch.ones(1), torch.zeros(1, 1), torch.tensor([variance]) ** 0.5)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# descent


@pytest.mark.parametrize("variance", [0.01, 0.2, 1.0, 4.0])
@pytest.mark.parametrize("low", [0.5, 0.2, 0.05])
def test_the_descent_of_gaussian_states_ends_with_the_width_of_every_level(variance, low):
    """The flow of a Gaussian is linear: ``x`` scales as ``sqrt(variance + sigma^2)``."""
    x = torch.tensor([[(variance + 1) ** 0.5]])
    scale = descend(gaussian(variance), x, 1.0, low) / (variance + low**2) ** 0.5
    assert scale.item() == pytest.approx(1, abs=0.01)


def test_the_descent_is_of_order_two(double, monkeypatch):
    errors = []
    for steps in (4, 8, 16):
        monkeypatch.setattr(descent, "STEPS_PER_OCTAVE", steps)
        end = descend(gaussian(0.1), torch.tensor([[1.1**0.5]]), 1.0, 0.125)
        errors.append(abs(end.item() - (0.1 + 0.125**2) ** 0.5))
    slopes = np.diff(np.log2(errors))
    assert slopes == pytest.approx([-2, -2], abs=0.15)


def test_a_score_of_one_level_has_nowhere_to_go():
    x = torch.randn(5, 2)
    assert MLPScore((2,), noise_std=0.0).levels(0.2) == (0.2, 0.2)
    assert torch.equal(descend(MLPScore((2,), noise_std=0.0), x, 0.2, 0.2), x)
    low, high = MLPScore((2,), noise_mean=-1.0, noise_std=0.5).levels(0.2)
    assert low == pytest.approx(np.exp(-2.5))
    assert high == pytest.approx(np.exp(0.5))


@pytest.mark.parametrize("of_snapshots", [True, False], ids=["snapshots", "noise"])
def test_parts_have_their_weights_and_spreads(mixture, of_snapshots):
    """Chi-square of the shares of 4,000 states at 1 %, and spreads within 4 standard errors."""
    n = 4000
    if of_snapshots:
        noised = from_snapshots(mixture, mixture.snapshots(n), n, 0.2, generator())
    else:
        noised = from_noise(mixture, (2,), n, 0.2, generator())
    part = mixture.posterior(clean(mixture, noised, 0.2)).argmax(1)
    counts = part.bincount(minlength=len(WEIGHTS))
    expected = mixture.posterior(mixture.snapshots(200_000)).argmax(1).bincount().double()
    assert chisquare(counts, expected / expected.sum() * n).pvalue > 0.01
    states = clean(mixture, noised, 0.2)
    for k in (0, 3):  # parts that no other one reaches into
        spread = states[part == k].std(0) / SPREADS[k]
        assert spread == pytest.approx(torch.ones(2), abs=4 / (2 * counts[k]).sqrt().item())


def test_a_score_that_weighs_parts_wrongly_keeps_the_shares_of_snapshots(mixture):
    """Parts apart: from noise they come out as the score weighs them, from snapshots as found."""
    centres = torch.tensor([[-1.5, 0.0], [1.5, 0.0]])
    wrong, right = (Mixture(w, centres, torch.full((2,), 0.2)) for w in WEIGHTED)
    states = clean(wrong, from_snapshots(wrong, right.snapshots(4000), 4000, 0.2, generator()), 0.2)
    assert (states[:, 0] > 0).float().mean().item() == pytest.approx(0.3, abs=0.03)
    states = clean(wrong, from_noise(wrong, (2,), 4000, 0.2, generator()), 0.2)
    assert (states[:, 0] > 0).float().mean().item() == pytest.approx(0.6, abs=0.03)


WEIGHTED = torch.tensor([[0.4, 0.6], [0.7, 0.3]])


class Still(Score):
    """A score of nothing, at levels that can be gone down."""

    def levels(self, sigma):
        return sigma, 1.0

    def forward(self, x, sigma):
        return torch.zeros_like(x)


@pytest.mark.parametrize("n", [5, 20, 43])
def test_no_snapshot_is_taken_twice_before_all_are_taken_once(n):
    snapshots = 1000.0 * torch.arange(20.0)[:, None]
    states = from_snapshots(Still(), snapshots, n, 0.2, generator())
    counts = (states[:, 0] / 1000).round().long().bincount(minlength=20)
    assert counts.max() - counts.min() <= 1
    assert counts.sum() == n


@pytest.mark.parametrize(("apart", "noise"), [(0.01, 0.2), (0.2, 0.4), (5.0, 1.0)])
def test_snapshots_are_noised_by_more_than_lies_between_them(apart, noise):
    """At the level asked for if they are dense, at the widest of the score if they are rare."""
    grid = apart * torch.cartesian_prod(torch.arange(40.0), torch.arange(40.0)) / 2**-0.5
    states = from_snapshots(Still(), grid[:1600], 1600, 0.2, generator())
    moved = states.mean(0) - grid.mean(0)
    assert moved.abs().max() < 4 * noise / 40
    assert states.var(0) - grid.var(0) == pytest.approx([noise**2] * 2, abs=0.3 * apart**2 * 133)


# novelty


def test_new_states_are_as_far_from_snapshots_as_these_from_each_other(mixture):
    snapshots = mixture.snapshots(3000)
    assert novelty(mixture.snapshots(1000), snapshots) == pytest.approx(1, abs=0.1)
    assert novelty(snapshots[:1000] + 1e-4 * torch.randn(1000, 2), snapshots) < 0.1


def test_states_of_a_grid_are_its_spacing_apart():
    grid = torch.cartesian_prod(torch.arange(5.0), 3 * torch.arange(5.0))
    assert spacing(grid) == 1
    assert novelty(grid + torch.tensor([0.0, 0.25]), grid) == pytest.approx(0.25)
    assert np.isnan(novelty(grid, grid.repeat(2, 1)))


# estimator


STATES = np.random.default_rng(0).normal(size=(400, 2)) * [3.0, 0.1]
SKEW = {"family": "skew", "score": {"name": "empirical"}}


@pytest.mark.parametrize("start", ["snapshots", "noise"])
def test_states_that_were_learned_by_heart_are_told_from_new_ones(start, caplog):
    few, many = (
        EquilibriumFlow(sigma=s, **SKEW).fit(STATES[:n]) for s, n in ((0.01, 60), (0.3, 400))
    )
    few.sample(200, time=0.0, start=start)
    assert "sample: found states" in caplog.text
    assert "the 60 snapshots by heart" in caplog.text
    caplog.clear()
    many.sample(200, time=0.0)
    assert not caplog.messages


def test_a_flow_samples_the_same_after_it_was_saved(tmp_path):
    flow = EquilibriumFlow("skew", score_training={"steps": 5}).fit(STATES)
    flow.save(tmp_path)
    np.testing.assert_array_equal(eqflow.load(tmp_path).sample(50), flow.sample(50))


def test_a_flow_that_was_saved_without_snapshots_samples_from_noise_alone(tmp_path):
    flow = EquilibriumFlow("skew", score_training={"steps": 5}).fit(STATES)
    flow.model.starts = None
    flow.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"starts": False}))
    loaded = eqflow.load(tmp_path)
    assert loaded.sample(50, start="noise").shape == (50, 2)
    with pytest.raises(InputError, match="saved without snapshots to start from"):
        loaded.sample(50)


def test_the_dynamics_run_at_the_level_of_the_field_if_they_are_asked_for():
    flow = EquilibriumFlow("skew", score_training={"steps": 5}).fit(STATES)
    start = flow.sample(50, noised=True)
    end = flow.sample(50, time=1.0, eta=0.0, noised=True)
    np.testing.assert_allclose(end, flow.simulate(start, [0.0, 1.0])[-1], atol=1e-5)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"n": 0}, "n=0 found; expected a whole number >= 1"),
        ({"n": 5, "start": "snapshot"}, "start=snapshot is unknown; did you mean snapshots"),
    ],
)
def test_other_samples_are_refused(asked, says):
    flow = EquilibriumFlow(**SKEW).fit(STATES)
    with pytest.raises(InputError, match=says):
        flow.sample(**asked)


VARIANCE = 0.25


def test_a_corrected_descent_has_the_law_of_a_gaussian_whose_score_is_known():
    def score(x, sigma):
        return -x / (VARIANCE + sigma**2)

    draws, sigma = torch.Generator().manual_seed(0), 0.5
    x = corrected_from_noise(score, (40_000,), 20.0, sigma, draws)
    # Langevin steps of h = .2 sigma^2 widen it by up to h / 2 (v + sigma^2), 10 % at one pause;
    # the last of them is at twice sigma, and what is left below it a descent keeps
    level, h = 2 * sigma, 0.2 * (2 * sigma) ** 2
    paused = VARIANCE + level**2
    widened = 1 / (1 - h / (2 * paused))
    expected = widened * (VARIANCE + sigma**2)
    assert x.var().item() == pytest.approx(expected, rel=0.03)
    assert abs(x.mean().item()) < 4 * (expected / 40_000) ** 0.5
