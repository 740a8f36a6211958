"""Snapshots that are correlated, several of one run, share a number: a group.

Whole groups are fitted on, held out and resampled, and the sum over a group is one observation.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from eqflow.errors import InputError


def numbered(names: np.ndarray, option: str) -> Int[Tensor, " n"]:
    """A number for each snapshot's group, whatever the groups are called.

    Raises ``InputError`` for NaN.
    """
    if names.dtype.kind == "f" and (bad := np.isnan(names).sum()):
        raise InputError(f"{option}: {bad} labels are NaN; expected a group each")
    return torch.from_numpy(np.unique(names, return_inverse=True)[1])


def shuffled(n: int, groups: Int[Tensor, " n"] | None, draw: torch.Generator) -> Int[Tensor, " n"]:
    """A random order of ``n`` snapshots in which those of a group stay side by side."""
    order = torch.randperm(n, generator=draw)
    if groups is None:
        return order
    distinct, index = groups.unique(return_inverse=True)
    return order[torch.randperm(len(distinct), generator=draw)[index[order]].argsort(stable=True)]


def half(n: int, groups: Int[Tensor, " n"] | None, draw: torch.Generator) -> Bool[Tensor, " n"]:
    """A random half of ``n`` snapshots; no group is cut but one."""
    if groups is None:
        return torch.randperm(n, generator=draw) < n // 2
    return shuffled(n, groups, draw).argsort() < n // 2


def boundary(k: int, groups: Int[Tensor, " n"] | None) -> int:
    """The first place from ``k`` on where no group is cut, in an order such as :func:`shuffled`."""
    if groups is None or not 0 < k < len(groups):
        return k
    same = groups[k:] == groups[k - 1]
    return k + int(same.cumprod(0).sum())


def summed(
    values: Float[Tensor, "n k"], groups: Int[Tensor, " n"] | None
) -> Float[Tensor, "units k"]:
    """Sums of the rows of each group; the rows themselves where there are none."""
    if groups is None:
        return values
    distinct, index = groups.unique(return_inverse=True)
    return values.new_zeros(len(distinct), values.shape[1]).index_add(0, index, values)
