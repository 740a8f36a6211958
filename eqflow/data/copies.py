"""Copies of snapshots, as of a file that was read twice: every state counts once.

A copy carries no information, and beside its original it would be held out and fitted to at once.
States that only coincide are another thing: rounded ones lie on a grid, where many meet by chance
and each is an observation.
"""

import logging

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.runtime import chunks

log = logging.getLogger("eqflow")

COARSENING = 3
"""Neighbouring values of each feature that are taken for one on the coarser grid."""


def distinct(x: Float[Tensor, "n *shape"], name: str) -> Int[Tensor, " kept"] | slice:
    """Index of the raw states without copies of earlier ones; logs, with ``name``, how many.

    Vectors that coincide are copies unless they meet by chance, on a grid; images always are.
    """
    first = _firsts(x)
    copies = len(x) - len(first)
    if not copies or (x.ndim == 2 and _on_a_grid(x[first], copies / len(x))):
        return slice(None)
    log.warning(
        "%s: %d of %d snapshots are copies of others; each state counts once", name, copies, len(x)
    )
    return first


def _firsts(x: Float[Tensor, "n *shape"]) -> Int[Tensor, " kept"]:
    """Rows that equal no earlier one, by a hash of their bytes."""
    parts = ((x[k] + 0).numpy() for k in chunks(torch.arange(len(x)), tuple(x.shape[1:])))  # no -0
    keys = np.fromiter((hash(row.tobytes()) for part in parts for row in part), np.int64, len(x))
    return torch.from_numpy(np.sort(np.unique(keys, return_index=True)[1]))


def _on_a_grid(x: Float[Tensor, "n dim"], coinciding: float) -> bool:
    """Whether distinct states are so close to each other that others may coincide by chance.

    They are where, on a grid ``COARSENING`` times as coarse, the share of them that meets others is
    half as large as that of the states ``coinciding`` on the given one, or larger: chance makes
    more states meet on a coarser grid, copies are as many on any.
    """
    ranks = (np.unique(column, return_inverse=True)[1] for column in x.T.numpy())
    apart = len(_firsts(torch.from_numpy(np.stack([*ranks], 1) // float(COARSENING))))
    return 1 - apart / len(x) >= coinciding / 2
