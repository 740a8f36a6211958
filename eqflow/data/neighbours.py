"""How far states are from the nearest snapshot, and snapshots from each other."""

import torch
from jaxtyping import Float
from scipy.spatial import cKDTree
from torch import Tensor

QUERIES = 1000
"""States whose nearest snapshots are looked for, the first of each sample."""


def spacing(snapshots: Float[Tensor, "m *shape"]) -> float:
    """Median distance from one snapshot to the nearest other one; infinite for a single one."""
    return _distance(snapshots, snapshots, 2)


def novelty(x: Float[Tensor, "n *shape"], snapshots: Float[Tensor, "m *shape"]) -> float:
    """Median distance of states to the nearest snapshot, over the :func:`spacing` of snapshots.

    About 1 for independent states of the same distribution and 0 for copies of snapshots; NaN where
    most snapshots are equal to another.
    """
    own = spacing(snapshots)
    return _distance(x, snapshots, 1) / own if own else float("nan")


def _distance(x: Tensor, snapshots: Tensor, rank: int) -> float:
    """Median distance to the ``rank``-th nearest snapshot, counted from 1."""
    tree = cKDTree(snapshots.flatten(1).double().numpy())
    distance, _ = tree.query(x[:QUERIES].flatten(1).double().numpy(), k=[rank])
    return torch.from_numpy(distance).median().item()
