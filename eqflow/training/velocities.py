"""What known velocities add to the loss of a field."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqflow.data import KnownVelocities
from eqflow.errors import InputError
from eqflow.fields import VelocityField
from eqflow.runtime import Draws, generator

MOST = 1024
"""KnownVelocities that a step takes; of more, random ones."""


class KnownVelocityLoss(nn.Module):
    """``weight E |v - w|^2 / E |w|^2`` at states of known velocity; zero without velocities.

    Known velocities come at unit speed, ``E |w|^2 / d = 1``: the field's own speed is free,
    and fixed after training. Its buffers are a function of the data: checkpoints need no copy.
    Raises ``InputError`` for ``weight < 0``.
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
        """Whether there are velocities, and they have a weight."""
        return len(self.x) > 0 and self.weight > 0

    def forward(self, field: VelocityField, step: int) -> Float[Tensor, ""]:
        if not self.counts:
            return self.x.new_zeros(())
        x, v = self.x, self.v
        if len(x) > MOST:
            draw = generator(self.seed, Draws.VELOCITIES, step)
            some = torch.randint(len(x), (MOST,), generator=draw).to(x.device)
            x, v = x[some], v[some]
        return self.weight * (field(x) - v).square().sum() / v.square().sum()
