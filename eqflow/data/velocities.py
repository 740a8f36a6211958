"""Known velocities: states whose velocity is given beside the snapshots.

Many fields keep a distribution, at any speed; velocities at a few states select among them and fix
the speed. A field ``v`` is compared with them at the speed ``c`` that minimises
``|c v - v_known|``.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError

VELOCITY_MARGIN = 1.0
"""Standard deviations of a feature by which a state may lie outside the range of the snapshots."""


class KnownVelocities(NamedTuple):
    """Velocities ``v`` at states ``x``, both raw or both standardised."""

    x: Float[Tensor, "n dim"]
    v: Float[Tensor, "n dim"]

    def standardised(
        self, mean: Float[Tensor, " dim"], std: Float[Tensor, " dim"]
    ) -> "KnownVelocities":
        """The standardised velocities ``v / std`` of raw ones, at standardised states; float32."""
        return KnownVelocities(((self.x - mean) / std).float(), (self.v / std).float())

    def to(self, device: torch.device | str) -> "KnownVelocities":
        """The same velocities on another device."""
        return KnownVelocities(self.x.to(device), self.v.to(device))

    def fit(self, v: Float[Tensor, "n dim"]) -> tuple[float, float]:
        """Speed ``c`` that minimises ``|c v - self.v|``, and the cosine of ``v`` and ``self.v``."""
        dot, square = (v * self.v).sum(), v.square().sum()
        return (dot / square).item(), (dot / (square.sqrt() * self.v.norm())).item()


def checked_velocities(
    x: Float[Tensor, "*size"],
    v: Float[Tensor, "*other_size"],
    states: Float[Tensor, "N *shape"],
    name: str,
) -> KnownVelocities:
    """Known velocities ``v`` at states ``x``, checked against the snapshots ``states``; all raw.

    Raises ``InputError`` that names ``name`` for images, for shapes that differ from ``(n, d)``,
    numbers that are not finite, velocities that all vanish, and states that lie farther than
    ``VELOCITY_MARGIN`` outside the range of the snapshots.
    """
    x, v = x.double(), v.double()
    expected = f"states and velocities of shape (n, {states.shape[1]}), n >= 1"
    if states.ndim != 2:
        raise InputError(
            f"{name}: velocities found beside images; expected vectors of shape (N, d)"
        )
    if x.shape != v.shape or x.ndim != 2 or x.shape[1] != states.shape[1] or not len(x):
        raise InputError(
            f"{name}: states of shape {tuple(x.shape)} and velocities of shape {tuple(v.shape)} "
            f"found; expected {expected}"
        )
    bad = int((~torch.cat([x, v], 1).isfinite().all(1)).sum())
    if bad:
        raise InputError(
            f"{name}: {bad} of {len(x)} velocities hold NaN or infinity; expected finite numbers"
        )
    if not v.any():
        raise InputError(f"{name}: all velocities are zero; expected some that move")
    _check_range(x, states, name)
    return KnownVelocities(x, v)


def _check_range(x: Tensor, states: Tensor, name: str) -> None:
    margin = VELOCITY_MARGIN * states.double().std(0)
    low, high = states.amin(0) - margin, states.amax(0) + margin
    outside = ((x < low) | (x > high)).nonzero()
    if len(outside):
        row, feature = outside[0].tolist()
        raise InputError(
            f"{name}: state {row} has {x[row, feature]:.4g} in feature {feature}, where snapshots "
            f"lie between {states[:, feature].min():.4g} and {states[:, feature].max():.4g}; "
            "expected velocities among the snapshots, in the same units"
        )
