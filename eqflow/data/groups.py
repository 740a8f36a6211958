"""Groups of correlated snapshots, such as several states of one run.

The snapshots of a group share a number. A group is held out, fitted on and resampled as a whole,
and the sum over a group counts as one independent observation.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from eqflow.errors import InputError

Groups = Int[Tensor, " n"] | None
"""Group of each snapshot; None if all snapshots are independent."""


def group_numbers(names: np.ndarray, option: str) -> Int[Tensor, " n"]:
    """Groups as numbers from 0, from one name (number or word) for each snapshot.

    Raises ``InputError`` that names ``option`` for names that are NaN.

    >>> group_numbers(np.array(["b", "a", "b"]), "groups")
    tensor([1, 0, 1])
    """
    if names.dtype.kind == "f" and (bad := np.isnan(names).sum()):
        raise InputError(f"{option}: {bad} names are NaN; expected a group for each snapshot")
    return torch.from_numpy(np.unique(names, return_inverse=True)[1])


def random_order(n: int, groups: Groups, draw: torch.Generator) -> Int[Tensor, " n"]:
    """A random permutation of ``n`` snapshots in which the members of a group are neighbours."""
    order = torch.randperm(n, generator=draw)
    if groups is None:
        return order
    distinct, index = groups.unique(return_inverse=True)
    return order[torch.randperm(len(distinct), generator=draw)[index[order]].argsort(stable=True)]


def random_half(n: int, groups: Groups, draw: torch.Generator) -> Bool[Tensor, " n"]:
    """Mask of a random half of ``n`` snapshots, which divides one group at most."""
    if groups is None:
        return torch.randperm(n, generator=draw) < n // 2
    return random_order(n, groups, draw).argsort() < n // 2


def group_boundary(k: int, groups: Groups) -> int:
    """The first position from ``k`` on between two groups, where members of a group are neighbours.

    >>> group_boundary(4, torch.tensor([7, 7, 7, 1, 1, 2]))
    5
    """
    if groups is None or not 0 < k < len(groups):
        return k
    same = groups[k:] == groups[k - 1]
    return k + int(same.cumprod(0).sum())


def group_sums(values: Float[Tensor, "n k"], groups: Groups) -> Float[Tensor, "units k"]:
    """Sum of the rows of each group; the rows themselves if ``groups`` is None."""
    if groups is None:
        return values
    distinct, index = groups.unique(return_inverse=True)
    return values.new_zeros(len(distinct), values.shape[1]).index_add(0, index, values)
