"""Maximum mean discrepancy of two samples (Gretton et al. 2012, JMLR 13).

``MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y)`` with the Gaussian kernel
``k(x, y) = exp(-|x - y|^2 / (2 h^2))`` of bandwidth ``h``. A state that escaped has kernel 0 with
every other, so losing states costs distance.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def gram(
    x: Float[Tensor, "n *shape"], y: Float[Tensor, "m *shape"], bandwidth: float
) -> Float[Tensor, "n m"]:
    """Matrix of the Gaussian kernel between all pairs of states, float64."""
    distance = torch.cdist(x.flatten(1).double(), y.flatten(1).double())
    return torch.exp(-(distance**2) / (2 * bandwidth**2))


def median_bandwidth(x: Float[Tensor, "n *shape"]) -> float:
    """Median distance of two different states, over the first 1,000: the median heuristic."""
    return torch.pdist(x[:1000].flatten(1).double()).median().item()


def mmd2(
    x: Float[Tensor, "n *shape"],
    y: Float[Tensor, "m *shape"],
    bandwidth: float,
    kept: Bool[Tensor, " n"] | None = None,
) -> Float[Tensor, ""]:
    """Unbiased estimate of ``MMD^2``, which may be negative.

    Args:
        x: the first sample.
        y: the second sample.
        bandwidth: ``h``, in the units of the states.
        kept: marks the states of ``x`` that did not escape; None if all did not.
    """
    n, m = len(x), len(y)
    if kept is not None:
        x = x[kept]
    within_x = gram(x, x, bandwidth).fill_diagonal_(0).sum() / (n * (n - 1))
    within_y = gram(y, y, bandwidth).fill_diagonal_(0).sum() / (m * (m - 1))
    return within_x + within_y - 2 * gram(x, y, bandwidth).sum() / (n * m)


def mmd2_splits(
    states: Float[Tensor, "two_n *shape"], bandwidth: float, first: Bool[Tensor, "two_n splits"]
) -> Float[Tensor, " splits"]:
    """Unbiased ``MMD^2`` between two halves of a sample, for many splits at once.

    ``first`` marks the first half of each split in a column; halves are of equal size. These values
    are what resampling alone reads.
    """
    first = first.double()
    second = 1 - first
    n = len(states) // 2
    kernel = gram(states, states, bandwidth).fill_diagonal_(0)
    to_first, to_second = kernel @ first, kernel @ second
    within = (first * to_first + second * to_second).sum(0) / (n * (n - 1))
    return within - 2 * (first * to_second).sum(0) / n**2
