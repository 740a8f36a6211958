import ot
import pytest
import torch

from eqflow.metrics import (
    MMD2,
    Cosine,
    Escaped,
    RelativeResidual,
    SinkhornDivergence,
    SlicedW2,
    median_bandwidth,
    mmd2,
    mmd2_splits,
    sinkhorn_divergence,
    sliced_w2,
)
from eqflow.simulate import within_radius

pytestmark = pytest.mark.usefixtures("double")


def kernel(a, b, h):
    return torch.exp(-(a - b).square().sum() / (2 * h**2))


def naive_mmd2(x, y, h):
    n, m = len(x), len(y)
    xx = sum(kernel(x[i], x[j], h) for i in range(n) for j in range(n) if i != j)
    yy = sum(kernel(y[i], y[j], h) for i in range(m) for j in range(m) if i != j)
    xy = sum(kernel(a, b, h) for a in x for b in y)
    return xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)


# kernel


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2)])
def test_mmd2_equals_the_double_loop(shape):
    x, y = torch.randn(7, *shape), 0.5 + torch.randn(5, *shape)
    torch.testing.assert_close(mmd2(x, y, 0.8), naive_mmd2(x, y, 0.8), rtol=1e-9, atol=1e-12)


def resampled(n, shift, spread, h, draws=400):
    return torch.stack(
        [mmd2(torch.randn(n, 2), shift + spread * torch.randn(n, 2), h) for _ in range(draws)]
    )


@pytest.mark.parametrize(("shift", "spread"), [(0.0, 1.0), (0.3, 1.0), (0.0, 1.5), (1.0, 0.5)])
def test_mmd2_is_unbiased_for_its_closed_form_between_gaussians(shift, spread):
    h, d = 0.5, 2

    def expected(variance, distance2):
        total = h**2 + variance
        return (h**2 / total) ** (d / 2) * torch.exp(torch.tensor(-distance2 / (2 * total)))

    exact = expected(2, 0) + expected(2 * spread**2, 0) - 2 * expected(1 + spread**2, d * shift**2)
    draws = resampled(20, shift, spread, h)
    assert abs(draws.mean() - exact) < 4 * draws.std() / len(draws) ** 0.5


def test_mmd2_of_equal_distributions_is_negative_about_as_often_as_not():
    draws = resampled(20, 0.0, 1.0, 0.5)
    assert 0.3 < (draws < 0).double().mean() < 0.8


def test_mmd2_is_symmetric_and_blind_to_isometries():
    x, y = torch.randn(30, 3), 1 + torch.randn(40, 3)
    turn = torch.linalg.qr(torch.randn(3, 3)).Q
    for a, b in ((y, x), (x @ turn + 5, y @ turn + 5), (x.flip(0), y.roll(3, 0))):
        torch.testing.assert_close(mmd2(a, b, 0.7), mmd2(x, y, 0.7), rtol=1e-9, atol=1e-12)


def test_bandwidth_is_measured_in_the_units_of_the_states():
    x, y = torch.randn(30, 3), 1 + torch.randn(40, 3)
    torch.testing.assert_close(mmd2(3 * x, 3 * y, 2.1), mmd2(x, y, 0.7), rtol=1e-9, atol=1e-12)


def test_mmd2_of_many_splits_equals_each_split_alone():
    states = torch.randn(40, 2)
    first = torch.stack([torch.randperm(40) < 20 for _ in range(9)], dim=1)
    alone = torch.stack([mmd2(states[column], states[~column], 0.5) for column in first.T])
    torch.testing.assert_close(mmd2_splits(states, 0.5, first), alone, rtol=1e-9, atol=1e-12)


def test_median_bandwidth_is_the_median_over_distinct_pairs():
    x = torch.randn(31, 2)
    i, j = torch.triu_indices(31, 31, 1)
    assert median_bandwidth(x) == pytest.approx((x[i] - x[j]).norm(dim=1).median().item())


@pytest.mark.parametrize("lost", [1, 5, 10])
def test_an_escaped_state_has_kernel_zero_with_everything(lost):
    x, y, far = torch.randn(10, 2), torch.randn(12, 2), torch.arange(10.0)[:, None] * 1e6 + 1e9
    escaped = torch.arange(10) < lost
    sent_away = torch.where(escaped[:, None], far, x)
    broken = torch.where(escaped[:, None], torch.nan, x)
    expected = naive_mmd2(sent_away, y, 0.5)
    torch.testing.assert_close(mmd2(broken, y, 0.5, ~escaped), expected, rtol=1e-9, atol=1e-12)


def test_losing_all_states_leaves_the_reference_alone():
    y = torch.randn(12, 2)
    within = sum(kernel(a, b, 0.5) for a in y for b in y) - 12
    found = mmd2(torch.full((10, 2), torch.inf), y, 0.5, torch.zeros(10, dtype=torch.bool))
    torch.testing.assert_close(found, within / (12 * 11))


def test_losing_states_of_a_perfect_sample_costs_distance():
    x = torch.randn(200, 2)
    distances = [mmd2(x, x, 0.5, torch.arange(200) >= lost) for lost in range(0, 201, 20)]
    assert torch.stack(distances).diff().min() > 0


# escape


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, 1e30])
def test_states_not_finite_or_too_far_have_escaped(bad):
    x = torch.tensor([[3.0, 4.0], [3.1, 4.0], [0.0, bad], [0.0, 0.0]])
    assert within_radius(x, 5.0).tolist() == [True, False, False, True]
    metric = Escaped(5.0)
    metric.update(x)
    metric.update(x[:1])
    assert metric.compute().item() == pytest.approx(2 / 5)


# transport


def test_sliced_w2_agrees_with_pot_within_the_error_of_its_projections():
    x, y = torch.randn(300, 3), torch.randn(300, 3) * torch.tensor([1.0, 2.0, 0.5]) + 0.3
    theirs, log = ot.sliced_wasserstein_distance(x, y, n_projections=200, seed=1, log=True)
    error = log["projected_emds"].std() * (2 / 200) ** 0.5
    assert abs(sliced_w2(x, y) ** 2 - theirs**2) < 4 * error


def test_sliced_w2_in_one_dimension_is_the_wasserstein_distance():
    x, y = torch.randn(200, 1), 2 * torch.randn(200, 1) + 1
    exact = ot.emd2_1d(x[:, 0], y[:, 0]).sqrt()
    torch.testing.assert_close(sliced_w2(x, y), exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dim", [2, 5])
def test_sliced_w2_of_a_translation_is_its_length_over_root_d(dim):
    x, shift, n = torch.randn(50, dim), torch.randn(dim), 20_000
    length2 = shift.square().sum()
    # the squared cosine to a uniform direction is Beta(1/2, (d - 1)/2)
    error = length2 * (2 * (dim - 1) / (dim**2 * (dim + 2)) / n) ** 0.5
    assert abs(sliced_w2(x, x + shift, projections=n) ** 2 - length2 / dim) < 4 * error


def test_sliced_w2_does_not_see_order_or_the_global_seed():
    x, y = torch.randn(60, 2), torch.randn(60, 2)
    first = sliced_w2(x, y)
    torch.manual_seed(99)
    torch.testing.assert_close(sliced_w2(x.flip(0), y.roll(7, 0)), first)
    torch.testing.assert_close(sliced_w2(x, x.flip(0)), torch.zeros(()))


def test_sinkhorn_divergence_agrees_with_pot():
    x, y = torch.randn(40, 2), torch.randn(50, 2) + torch.tensor([1.0, 0.0])
    theirs = ot.bregman.empirical_sinkhorn_divergence(x, y, reg=0.25, stopThr=1e-8)
    assert sinkhorn_divergence(x, y, blur=0.5).item() == pytest.approx(theirs.item(), rel=1e-4)


def test_sinkhorn_divergence_of_equal_samples_vanishes():
    x = torch.randn(40, 2)
    assert abs(sinkhorn_divergence(x, x.flip(0))) < 1e-6


@pytest.mark.parametrize(("dim", "blur"), [(2, 0.5), (2, 1.0), (200, 0.5)])
def test_sinkhorn_divergence_of_a_translation_is_its_squared_length(dim, blur):
    x, shift = torch.randn(50, dim), torch.full((dim,), dim**-0.5)
    assert sinkhorn_divergence(x, x + shift, blur).item() == pytest.approx(1, abs=1e-3)


def test_sinkhorn_divergence_survives_many_dimensions():
    x, y = torch.randn(40, 200), torch.randn(40, 200)
    exact = ot.emd2([], [], torch.cdist(x, y).square())
    assert sinkhorn_divergence(x, y).item() == pytest.approx(exact.item(), rel=0.05)


def test_sinkhorn_divergence_tends_to_the_squared_wasserstein_distance():
    x, y = torch.rand(20, 1), torch.rand(20, 1) + torch.rand(20, 1)
    exact = ot.emd2_1d(x[:, 0], y[:, 0])
    assert sinkhorn_divergence(x, y, blur=0.1).item() == pytest.approx(exact.item(), rel=0.05)


# ratios


def test_relative_residual_is_a_ratio_of_sums_and_not_a_mean_of_ratios():
    r2, v2, metric = torch.rand(10), torch.rand(10) + 0.1, RelativeResidual()
    for part in (slice(0, 1), slice(1, 3), slice(3, 10)):
        metric.update(r2[part], v2[part])
    torch.testing.assert_close(metric.compute(), r2.sum() / v2.sum())


def cosine(*pairs):
    metric = Cosine()
    for v, w in pairs:
        metric.update(v, w)
    return metric.compute().item()


@pytest.mark.parametrize(("factor", "expected"), [(1, 1), (1e-3, 1), (-7, -1)])
def test_cosine_is_signed_and_blind_to_scale(factor, expected):
    v = torch.randn(20, 3)
    assert cosine((v, factor * v)) == pytest.approx(expected, abs=1e-12)


def test_cosine_is_that_of_all_states_as_one_vector():
    v, w = torch.randn(20, 2, 3, 3), torch.randn(20, 2, 3, 3)
    exact = torch.cosine_similarity(v.flatten(), w.flatten(), dim=0).item()
    assert cosine((v, w)) == pytest.approx(exact, abs=1e-12)
    assert cosine((v[:3], w[:3]), (v[3:], w[3:])) == pytest.approx(exact, abs=1e-12)
    assert cosine((w, v)) == pytest.approx(exact, abs=1e-12)
    assert abs(exact) < 1


def test_cosine_of_orthogonal_fields_vanishes():
    x = torch.randn(30, 2)
    turned = torch.stack([-x[:, 1], x[:, 0]], 1)
    assert cosine((x, turned)) == pytest.approx(0, abs=1e-12)


# several processes

SAMPLES = [
    (Escaped(2.0), lambda x, y: (x,)),
    (MMD2(2.0, 0.5), lambda x, y: (x, y)),
    (SlicedW2(2.0), lambda x, y: (x, y)),
    (SinkhornDivergence(2.0, n=16), lambda x, y: (x, y)),
    (Cosine(), lambda x, y: (x, y)),
    (RelativeResidual(), lambda x, y: (x[:, 0] ** 2, y[:, 0] ** 2)),
]


@pytest.mark.parametrize(("metric", "arguments"), SAMPLES, ids=lambda m: type(m).__name__)
def test_two_processes_read_what_one_does(metric, arguments, monkeypatch):
    monkeypatch.setattr(
        type(metric), "full_state_update", False
    )  # else torchmetrics will not merge
    x, y = torch.randn(41, 2), torch.randn(41, 2)
    whole, first, second = metric.clone(), metric.clone(), metric.clone()
    whole.update(*arguments(x, y))
    first.update(*arguments(x[:20], y[:20]))
    second.update(*arguments(x[20:], y[20:]))
    second.merge_state(first)
    torch.testing.assert_close(second.compute(), whole.compute(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("metric", [SlicedW2(2.0), SinkhornDivergence(2.0)])
def test_transport_of_nothing_is_not_a_number(metric):
    metric.update(torch.full((5, 2), torch.nan), torch.randn(5, 2))
    assert metric.compute().isnan()


def test_transport_measures_the_states_that_stayed():
    x, y = torch.rand(20, 2), torch.rand(20, 2)
    x[3] = torch.inf
    metric = SlicedW2(2.0)
    metric.update(x, y)
    torch.testing.assert_close(metric.compute(), sliced_w2(x[torch.arange(20) != 3], y))
