"""The error of a velocity field at states of known velocity, as a term of its loss."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqflow.data import KnownVelocities
from eqflow.errors import InputError
from eqflow.fields import VelocityField
from eqflow.runtime import Draws, generator

VELOCITIES_PER_STEP = 1024
"""Number of known velocities that a training step uses, drawn at random if there are more."""


class KnownVelocityLoss(nn.Module):
    """``weight E|v - w|^2 / E|w|^2`` over states of known velocity ``w``; zero without any.

    ``velocities`` (standardised) are scaled to unit speed, ``E|w|^2 / d = 1``: the field's own
    speed is fixed after training. Checkpoints do not hold them: they are part of the data. Raises
    ``InputError`` for ``weight < 0``.
    """

    x: Tensor
    v: Tensor

    def __init__(
        self, velocities: KnownVelocities | None, weight: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__()
        if not weight >= 0:
            raise InputError(f"flow.velocity_weight={weight} found; expected velocity_weight >= 0")
        self.weight, self.seed = weight, seed
        x, v = velocities or (torch.empty(0, 1), torch.empty(0, 1))
        self.register_buffer("x", x, persistent=False)
        self.register_buffer("v", v / v.square().mean().sqrt(), persistent=False)

    @property
    def counts(self) -> bool:
        """Whether there are known velocities that have a weight."""
        return len(self.x) > 0 and self.weight > 0

    def forward(self, field: VelocityField, step: int) -> Float[Tensor, ""]:
        if not self.counts:
            return self.x.new_zeros(())
        x, v = self.x, self.v
        if len(x) > VELOCITIES_PER_STEP:
            draw = generator(self.seed, Draws.VELOCITIES, step)
            drawn = torch.randint(len(x), (VELOCITIES_PER_STEP,), generator=draw).to(x.device)
            x, v = x[drawn], v[drawn]
        return self.weight * (field(x) - v).square().sum() / v.square().sum()
