"""Snapshots: standardisation, splits, and what is refused."""

import pytest
import torch

from eqflow.data import Standardiser, distinct, split
from eqflow.errors import InputError
from eqflow.simulate import RK4
from eqflow.systems import Lorenz63


def raw(n=400, dim=3):
    return torch.randn(n, dim, dtype=torch.float64) * torch.tensor([1.0, 5.0, 0.02]) + 3


def test_standardising_goes_there_and_back():
    x = raw()
    standardiser = Standardiser.of(x)
    torch.testing.assert_close(standardiser.raw(standardiser.standard(x)), x, rtol=0, atol=1e-12)


def test_the_training_split_has_zero_mean_and_unit_variance():
    z = split(raw(), 40, 80).train.double()
    torch.testing.assert_close(z.mean(0), torch.zeros(3).double(), rtol=0, atol=1e-5)
    torch.testing.assert_close(z.std(0), torch.ones(3).double(), rtol=0, atol=1e-5)


def test_grids_are_standardised_per_channel():
    x = torch.randn(50, 2, 4, 4) * torch.tensor([3.0, 0.1])[:, None, None] + 7
    z = Standardiser.of(x).standard(x).float()
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(2), rtol=0, atol=1e-4)
    torch.testing.assert_close(z.std((0, 2, 3)), torch.ones(2), rtol=0, atol=1e-4)
    assert z.mean(0).std() > 0.01  # not per pixel


def test_a_far_origin_does_not_spoil_the_standardisation():
    x = raw()
    near, far = split(x, 40, 80).train, split(x + 100, 40, 80).train
    torch.testing.assert_close(far, near, rtol=0, atol=1e-3)


def test_the_splits_are_disjoint_and_complete():
    x = raw()
    snapshots = split(x, 40, 80)
    assert [len(s) for s in (snapshots.val, snapshots.test, snapshots.train)] == [40, 80, 280]
    whole = snapshots.standardiser.raw(torch.cat([snapshots.val, snapshots.test, snapshots.train]))
    torch.testing.assert_close(
        whole[:, 0].sort().values.double(), x[:, 0].sort().values, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("held_out", ["test", "val"])
def test_statistics_see_the_training_split_only(held_out):
    x = raw()
    before = split(x, 40, 80)
    chosen = before.standardiser.raw(getattr(before, held_out).double())
    rows = torch.cdist(chosen, x).argmin(1)
    x[rows] = 1e3 + 50 * x[rows]
    after = split(x, 40, 80).standardiser
    assert torch.equal(after.mean, before.standardiser.mean)
    assert torch.equal(after.std, before.standardiser.std)


def test_the_split_is_a_function_of_its_seed():
    x = raw()
    first, again, other = (split(x, 40, 80, seed) for seed in (0, 0, 1))
    assert torch.equal(first.test, again.test)
    assert not torch.equal(first.test, other.test)


def test_the_split_is_shuffled():
    x = torch.arange(1000.0)[:, None].expand(-1, 2)
    test = split(x, 100, 200).test
    assert abs(test.mean()) < 5 / 200**0.5


def test_true_velocity_is_the_time_derivative_in_standardised_units():
    system, h = Lorenz63(), 1e-4
    x = system.sample(30, seed=0, transient=2.0).states
    snapshots = split(x, 5, 5, velocity=system.velocity)
    before, now, after = RK4(h)(
        system.velocity, x, torch.tensor([0, h, 2 * h], dtype=torch.float64)
    )
    z0, z1, z2 = (snapshots.standardiser.standard(states) for states in (before, now, after))
    torch.testing.assert_close(snapshots.velocity(z1), (z2 - z0) / (2 * h), rtol=0, atol=1e-4)
    torch.testing.assert_close(system.velocity(now), (after - before) / (2 * h), rtol=0, atol=1e-3)
    speed = snapshots.velocity(z1) * snapshots.standardiser.std
    torch.testing.assert_close(speed, system.velocity(now), rtol=0, atol=1e-4)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_values_that_are_not_finite_are_refused_and_counted(bad):
    x = raw()
    x[3, 1] = x[7, 0] = x[7, 1] = bad
    with pytest.raises(InputError, match="2 of 400 snapshots hold NaN or infinity"):
        split(x, 40, 80)


@pytest.mark.parametrize("value", [0.0, 1e6, -0.3])
def test_a_constant_feature_is_refused_by_its_place(value):
    x = raw()
    x[:, 1] = value
    with pytest.raises(InputError, match="feature 2 of 3 is constant"):
        split(x, 40, 80)


@pytest.mark.parametrize(
    ("n", "val", "test"), [(10, 5, 4), (10, 0, 4), (10, 1, 3), (0, 1, 4), (6, 1, 4)]
)
def test_splits_that_leave_too_few_states_are_refused_with_their_numbers(n, val, test):
    with pytest.raises(
        InputError,
        match=f"found {n - val - test} snapshots to train, {val} to validate and {test} to test",
    ):
        split(raw(n), val, test)


def test_the_smallest_split_that_works_is_accepted():
    assert len(split(raw(7), 1, 4).train) == 2


@pytest.mark.parametrize("shape", [(10,), (10, 3, 3), (10, 1, 1, 1, 1)])
def test_arrays_that_are_neither_vectors_nor_grids_are_refused(shape):
    with pytest.raises(InputError, match=r"expected \(N, d\) or \(N, C, H, W\)"):
        split(torch.randn(shape), 1, 4)


# copies


@pytest.mark.parametrize("digits", [None, 2])
@pytest.mark.parametrize("copied", [60, 600])
def test_copies_count_once_also_of_rounded_states(digits, copied, caplog):
    x = torch.randn(600, 3).double()
    x = x if digits is None else x.round(decimals=digits)
    x = x[distinct(x, "X")]
    rows = distinct(torch.cat([x, x[-copied:]]), "X")
    assert torch.equal(rows, torch.arange(len(x)))
    assert f"X: {copied} of {len(x) + copied} snapshots are copies" in caplog.text


@pytest.mark.parametrize("step", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_states_that_meet_on_a_grid_are_no_copies(dim, step, caplog):
    """Of a line, a plane and space, on grids where nearly all of them meet, or hardly any."""
    x = torch.randn(4000, dim).double() @ torch.randn(dim, 3).double()
    x = (x / step).round() * step
    assert len(x[distinct(x, "X")]) == len(x)
    assert not caplog.records


def test_counts_and_words_for_classes_are_no_copies():
    rates = torch.rand(3000, 1).double() * 3
    counts = torch.poisson(rates.expand(-1, 8))
    for x in (counts, counts.log1p(), (torch.randn(500, 2) > 0).double()):
        assert len(x[distinct(x, "X")]) == len(x)


def test_equal_images_are_copies():
    x = torch.randint(0, 255, (20, 1, 8, 8)).float()
    assert distinct(x[[0, 1, 1, 0, 2]], "X").tolist() == [0, 1, 4]


def test_minus_zero_is_zero():
    x = torch.randn(600, 3).double()
    x[:100, 0] = 0.0
    copies = torch.cat([-x[:100, :1], x[:100, 1:]], 1)
    assert torch.equal(distinct(torch.cat([x, copies]), "X"), torch.arange(600))
