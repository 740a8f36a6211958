"""The second step of an exact network: the stream field nearest to the network that was learned."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.data import KnownVelocities
from eqflow.fields import ExactNetwork
from eqflow.runtime import Draws, global_means, normal
from eqflow.training.batches import Batch
from eqflow.training.stage import StageModule
from eqflow.training.velocities import KnownVelocityLoss


class ProjectionModule(StageModule):
    """Draws a stream field ``w`` to its network ``v``: minimises ``E|w - v|^2 / E|v|^2``.

    Means are over states noised at the field's ``sigma`` (method section 4). At the
    minimum ``w`` is the projection of ``v`` on the fields without residual, and the loss is one
    minus their squared cosine. The error at known ``velocities`` (standardised) is added with the
    weight ``velocity_weight``. ``training`` are the arguments of :class:`StageModule`.
    """

    stage, options = "flow", "flow.projection"

    def __init__(
        self,
        field: ExactNetwork,
        velocities: KnownVelocities | None = None,
        velocity_weight: float = 1.0,
        steps: int = 1500,
        learning_rate: float = 2e-2,
        **training: Any,
    ) -> None:
        super().__init__(steps, learning_rate, **training)
        field.score.requires_grad_(False)
        field.origin.requires_grad_(False)
        self.field = field
        self.known_velocity_loss = KnownVelocityLoss(velocities, velocity_weight, self.seed)

    def loss(self, batch: Batch, step: int) -> Float[Tensor, ""]:
        """Relative squared distance to the network, and error at known velocities."""
        states, total = batch
        x = states + self.field.sigma * normal(states, total, self.seed, Draws.FLOW, step)
        with torch.no_grad():
            v = self.field.origin(x)
            score = self.field.score(x, self.field.sigma)
        distance = (self.field.given(x, score) - v).square().sum(1)
        distance, speed = global_means(torch.stack([distance, v.square().sum(1)]), total)
        return distance / speed + self.known_velocity_loss(self.field, step)
