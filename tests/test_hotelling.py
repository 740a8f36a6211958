"""Hotelling's test: its distribution, its effect size, identities, what it accepts and rejects."""

import pytest
import torch
from scipy.stats import f, kstest

from eqflow.errors import InputError
from eqflow.stationarity import FourierFunctions, hotelling, moment_weights, zero_mean_test
from eqflow.stationarity.hotelling import MAX_RANK, MIN_UNITS

pytestmark = pytest.mark.usefixtures("double")

MIXING = torch.tensor([[1.0, 0.5, 0, 0], [0, 2, -1, 0.3], [0, 0, 0.2, 0], [0.1, 0, 0, 5]])
ALPHA = 0.001


def sprott_a(x):
    """A field that keeps the standard normal distribution."""
    x, y, z = x.unbind(1)
    return torch.stack([y, y * z - x, 1 - y * y], 1)


def functions_of(z, count=40):
    return FourierFunctions.of(z, count)


def correlated(n, mean=0.0):
    return (torch.randn(n, 4) + mean) @ MIXING.double()


# its distribution


@pytest.mark.parametrize("units", [25, 200])
def test_p_values_of_gaussian_moments_are_uniform(units):
    p_values = [zero_mean_test(correlated(units)).p_value for _ in range(1000)]
    assert kstest(p_values, "uniform").pvalue > ALPHA


def test_p_value_is_the_tail_of_hotellings_distribution():
    h = correlated(60, mean=0.2)
    mean = h.mean(0)
    statistic = 60 * mean @ torch.linalg.solve(torch.cov(h.T), mean)
    expected = f.sf(float(statistic) * (60 - 4) / (4 * 59), 4, 60 - 4)
    assert zero_mean_test(h).p_value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("copies", [1, 3])
def test_p_values_allow_for_the_errors_of_a_fit(copies):
    """Means are off by errors of two unknowns; with groups of copies as without."""
    root = 0.2 * torch.randn(4, 2)
    groups = torch.arange(200).repeat(copies)

    def p_value(fit):
        off = correlated(200) + root @ torch.randn(2)
        return zero_mean_test(off.repeat(copies, 1), groups, fit=fit).p_value

    assert kstest([p_value(root @ root.T) for _ in range(1000)], "uniform").pvalue > ALPHA
    assert kstest([p_value(None) for _ in range(1000)], "uniform").pvalue < ALPHA


@pytest.mark.parametrize("mean", [0.0, 0.2])
def test_effect_size_is_unbiased(mean):
    sizes = torch.tensor([zero_mean_test(correlated(30, mean)).effect_size for _ in range(2000)])
    error = sizes.std() / len(sizes) ** 0.5
    assert abs(sizes.mean() - 4 * mean**2) < 3.3 * error  # alpha = 0.001


def test_level_holds_for_a_true_field_at_normal_states():
    tests = [
        hotelling(sprott_a(z), z, FourierFunctions.of(z, 100, seed=k))
        for k, z in enumerate(torch.randn(100, 1000, 3))
    ]
    assert {test.rank for test in tests} == {20}
    assert sum(test.p_value < 0.05 for test in tests) <= 14  # P(more) = 0.0001 at 5 %


# identities


def test_speed_and_sign_do_not_matter():
    z = torch.randn(1000, 3)
    v, functions = sprott_a(z) + 0.1 * z, functions_of(z)
    expected = hotelling(v, z, functions)
    for scale in (-1.0, 1e-6, 1e6):
        test = hotelling(scale * v, z, functions)
        assert test.p_value == pytest.approx(expected.p_value, rel=1e-6)
        assert test.effect_size == pytest.approx(expected.effect_size, rel=1e-6)


@pytest.mark.parametrize("copies", [2, 7])
def test_copies_of_a_snapshot_count_once_if_they_share_a_group(copies):
    z = torch.randn(400, 3)
    v, functions, labels = sprott_a(z), functions_of(z), torch.randperm(400)
    once = hotelling(v, z, functions)
    order = torch.randperm(400 * copies)
    again = hotelling(
        v.repeat(copies, 1)[order],
        z.repeat(copies, 1)[order],
        functions,
        labels.repeat(copies)[order],
    )
    assert (again.units, again.rank) == (once.units, once.rank)
    assert again.p_value == pytest.approx(once.p_value, rel=1e-8)
    assert again.effect_size == pytest.approx(once.effect_size, rel=1e-6)


def test_copies_without_groups_feign_evidence():
    z = torch.randn(400, 3)
    v, functions = sprott_a(z), functions_of(z)
    copied = hotelling(v.repeat(10, 1), z.repeat(10, 1), functions, rank=8)
    assert copied.p_value < 0.1 * hotelling(v, z, functions, rank=8).p_value


def test_a_group_for_each_snapshot_changes_nothing():
    z = torch.randn(500, 3)
    v, functions = sprott_a(z), functions_of(z)
    alone = hotelling(v, z, functions, torch.randperm(500))
    assert alone.p_value == pytest.approx(hotelling(v, z, functions).p_value, rel=1e-8)


# what is tested


def test_moments_are_those_of_the_velocity_along_each_gradient():
    z = torch.randn(300, 3).requires_grad_()
    functions, v = functions_of(z.detach(), 8), sprott_a(z.detach())
    phi = functions.angles(z).cos()
    moments = [(torch.autograd.grad(p.sum(), z, retain_graph=True)[0] * v).sum(1) for p in phi.T]
    expected = zero_mean_test(torch.stack(moments, 1) * moment_weights(functions))
    assert hotelling(v, z.detach(), functions).p_value == pytest.approx(expected.p_value, rel=1e-8)


def test_weights_scale_smooth_functions_to_unit_gradient_and_rough_ones_to_less():
    functions = FourierFunctions(torch.tensor([[0.01, 0, 0], [0, 30.0, 40.0]]), torch.zeros(2))
    unit = moment_weights(functions) * functions.frequencies.norm(dim=1)
    torch.testing.assert_close(unit, torch.tensor([1, 1 / 50.0]), rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("units", "rank"), [(5, 1), (49, 9), (50, 10), (500, 10), (1000, 20), (9000, MAX_RANK)]
)
def test_rank_follows_the_number_of_observations(units, rank):
    assert zero_mean_test(torch.randn(units, 80)).rank == rank


def test_rank_can_be_lowered_but_not_raised():
    h = torch.randn(1000, 80)
    assert zero_mean_test(h, rank=3).rank == 3
    assert zero_mean_test(h, rank=50).rank == 20
    assert zero_mean_test(h[:, :7]).rank == 7


@pytest.mark.parametrize("groups", [None, torch.arange(MIN_UNITS - 1).repeat_interleave(100)])
def test_too_few_observations_are_refused(groups):
    z = torch.randn(MIN_UNITS - 1 if groups is None else len(groups), 3)
    with pytest.raises(InputError, match=r"4 independent .* expected at least 5"):
        hotelling(sprott_a(z), z, functions_of(torch.randn(100, 3)), groups)


@pytest.mark.parametrize("wrong", [0.05, -0.05])
def test_a_slightly_wrong_field_is_rejected(wrong):
    z = torch.randn(20_000, 3)
    v, functions = sprott_a(z), FourierFunctions.of(z)
    assert hotelling(v, z, functions).p_value > 0.01
    tilted = hotelling(v + wrong * z, z, functions)
    assert tilted.p_value < 1e-3
    assert tilted.effect_size > 0
