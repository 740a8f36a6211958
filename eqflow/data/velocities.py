"""States whose velocity is known: what singles one field out of the many that keep a law.

Speed is free in the condition; labels fix it. A field is compared with them at its best speed.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError

REACH = 1.0
"""Standard deviations of a feature by which a labelled state may lie outside all snapshots."""


class Labels(NamedTuple):
    """Velocities ``v`` at states ``x``, in the same units, raw or standardised."""

    x: Float[Tensor, "n dim"]
    v: Float[Tensor, "n dim"]

    def standardised(self, mean: Float[Tensor, " dim"], std: Float[Tensor, " dim"]) -> "Labels":
        """Raw labels as those of standardised states, float32."""
        return Labels(((self.x - mean) / std).float(), (self.v / std).float())

    def to(self, device: torch.device | str) -> "Labels":
        """The same labels on another device."""
        return Labels(self.x.to(device), self.v.to(device))

    def fit(self, found: Float[Tensor, "n dim"]) -> tuple[float, float]:
        """Speed ``c`` at which ``c found`` is closest to the velocities, and their cosine."""
        dot, square = (found * self.v).sum(), found.square().sum()
        return (dot / square).item(), (dot / (square.sqrt() * self.v.norm())).item()


def raw_labels(
    x: Float[Tensor, "*size"],
    v: Float[Tensor, "*other_size"],
    states: Float[Tensor, "N *shape"],
    name: str,
) -> Labels:
    """Raw labels of the law that raw ``states`` are drawn from.

    Raises ``InputError`` for another dimension, numbers that are not finite, velocities that all
    vanish and states farther than ``REACH`` outside the range of the snapshots.
    """
    x, v = x.double(), v.double()
    expected = f"states and velocities of shape (n, {states.shape[1]}), n >= 1"
    if states.ndim != 2:
        raise InputError(f"{name}: labels found beside images; expected vectors of shape (N, d)")
    if x.shape != v.shape or x.ndim != 2 or x.shape[1] != states.shape[1] or not len(x):
        raise InputError(
            f"{name}: states of shape {tuple(x.shape)} and velocities of shape {tuple(v.shape)} "
            f"found; expected {expected}"
        )
    bad = int((~torch.cat([x, v], 1).isfinite().all(1)).sum())
    if bad:
        raise InputError(
            f"{name}: {bad} of {len(x)} labels hold NaN or infinity; expected finite numbers"
        )
    if not v.any():
        raise InputError(f"{name}: all velocities are zero; expected some that move")
    _check_reach(x, states, name)
    return Labels(x, v)


def _check_reach(x: Tensor, states: Tensor, name: str) -> None:
    margin = REACH * states.double().std(0)
    low, high = states.amin(0) - margin, states.amax(0) + margin
    outside = ((x < low) | (x > high)).nonzero()
    if len(outside):
        row, feature = outside[0].tolist()
        raise InputError(
            f"{name}: label {row} has {x[row, feature]:.4g} in feature {feature}, where snapshots "
            f"lie between {states[:, feature].min():.4g} and {states[:, feature].max():.4g}; "
            "expected labels among the snapshots, in the same units"
        )
