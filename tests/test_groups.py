"""Groups of correlated snapshots are never divided or mixed, and count as one observation."""

import pytest
import torch

from eqflow.data import group_boundary, group_sums, random_half, random_order, split


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def interleaved(sizes=(3, 1, 4, 2, 5), copies=20):
    """Groups of different sizes, their members in a random order."""
    groups = torch.cat([torch.full((n,), k) for k, n in enumerate(sizes * copies)])
    return groups[torch.randperm(len(groups), generator=draw(9))]


def test_an_order_keeps_groups_side_by_side_and_shuffles_them_and_their_members():
    groups = interleaved()
    order = random_order(len(groups), groups, draw())
    assert order.sort().values.tolist() == list(range(len(groups)))
    stretches = torch.unique_consecutive(groups[order])
    assert len(stretches) == len(groups.unique())
    assert stretches.tolist() != sorted(stretches.tolist())
    largest = order[groups[order] == 4]
    assert largest.tolist() != sorted(largest.tolist())


@pytest.mark.parametrize(("k", "expected"), [(0, 0), (1, 3), (3, 3), (4, 5), (5, 5), (8, 8)])
def test_a_boundary_is_the_next_place_between_groups(k, expected):
    groups = torch.tensor([7, 7, 7, 1, 1, 2, 2, 2])
    assert group_boundary(k, groups) == expected
    assert group_boundary(k, None) == k


def test_a_half_divides_one_group_at_most():
    groups = interleaved()
    first = random_half(len(groups), groups, draw())
    assert first.sum() == len(groups) // 2
    divided = set(groups[first].tolist()) & set(groups[~first].tolist())
    assert len(divided) <= 1


def test_sums_are_those_of_each_group():
    groups, values = torch.tensor([4, 2, 4, 2, 9]), torch.arange(10.0).view(5, 2)
    assert group_sums(values, groups).tolist() == [[8, 10], [4, 6], [8, 9]]
    assert group_sums(values, None) is values


def test_a_split_holds_out_whole_groups():
    groups = interleaved()
    x = torch.randn(len(groups), 2, dtype=torch.float64, generator=draw()) + groups[:, None]
    s = split(x, 40, 60, groups=groups)
    train, test = (set(part.tolist()) for part in (s.train_groups, s.test_groups))
    assert not train & test
    assert 60 <= len(s.test) < 65
    assert 40 <= len(s.val) < 45
    assert len(s.train) + len(s.val) + len(s.test) == len(x)
    # groups still belong to their states
    for z, kept in ((s.train, s.train_groups), (s.test, s.test_groups)):
        assert ((s.standardiser.raw(z) - kept[:, None]).abs() < 5).all()
