"""The strong form of the condition, by which a velocity network is trained (method section 5)."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.data import KnownVelocities
from eqflow.errors import InputError
from eqflow.fields import VelocityField
from eqflow.options import unknown
from eqflow.runtime import Draws, generator, global_means, normal, rows
from eqflow.score import Score
from eqflow.stationarity import MAX_EXACT_DIM, check_dim, rademacher, strong_moments
from eqflow.training.batches import Batch
from eqflow.training.stage import StageModule
from eqflow.training.velocities import KnownVelocityLoss

DIVERGENCES = ("auto", "exact", "hutchinson")
"""Ways to take the divergence of a field."""

NETWORK_STEPS = 3000
"""Steps of the training of a network, where their number is not chosen."""


class FlowModule(StageModule):
    """Trains a velocity network by the strong form of the condition.

    With the residual ``r = div v + v . s`` at states noised at ``sigma`` the loss is
    ``E r^2 / E|v|^2``, whose denominator excludes ``v = 0``. That ratio alone can be lowered by
    resting at most states and rushing through few. Therefore ``evenness`` is the weight of the
    excess of ``E|v|^4 / (E|v|^2)^2`` over ``1 + 1 / d``, which lies half way between a constant
    speed and a Gaussian velocity: a choice among solutions, part of this family's bias. The error
    at known ``velocities`` (standardised) is added with the weight ``velocity_weight``.

    ``divergence`` is ``exact``, ``hutchinson`` (two probes), or ``auto``: exact up to
    ``MAX_EXACT_DIM`` coordinates. Raises ``InputError`` for an unknown divergence, a dimension too
    large for the exact one and negative weights. ``training`` are the arguments of
    :class:`StageModule`.
    """

    stage = "flow"

    def __init__(
        self,
        field: VelocityField,
        score: Score,
        sigma: float = 0.2,
        divergence: str = "auto",
        evenness: float = 0.1,
        velocities: KnownVelocities | None = None,
        velocity_weight: float = 1.0,
        steps: int | None = None,
        **training: Any,
    ) -> None:
        super().__init__(NETWORK_STEPS if steps is None else steps, **training)
        if divergence not in DIVERGENCES:
            raise unknown("flow.divergence=", divergence, DIVERGENCES)
        if not evenness >= 0:
            raise InputError(f"flow.evenness={evenness} found; expected a weight >= 0")
        if divergence == "auto":
            divergence = "exact" if field.dim <= MAX_EXACT_DIM else "hutchinson"
        if divergence == "exact":
            check_dim(field.shape)
        self.field = field
        self.score = score.requires_grad_(False)
        self.sigma, self.divergence, self.evenness = sigma, divergence, evenness
        self.known_velocity_loss = KnownVelocityLoss(velocities, velocity_weight, self.seed)

    def _moments(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """``r^2`` and ``|v|^2`` at freshly noised states, ``(batch,)`` each."""
        states, total = batch
        x = states + self.sigma * normal(states, total, self.seed, Draws.FLOW, step)
        with torch.no_grad():
            score = self.score(x, self.sigma)
        velocity = self._centred(x, total) if x.ndim > 2 else self.field
        return strong_moments(velocity, x, score, self._probes(x, total, step))

    def _centred(self, x: Tensor, total: int) -> Callable[[Tensor], Tensor]:
        """The field minus its mean over the global batch, channel by channel.

        A velocity that is the same at every pixel has a small residual, since images hardly resist
        a change of their overall brightness; normalisation would leave nothing of such a field.
        """
        mean = global_means(self.field(x).mean((2, 3)).T, total)[:, None, None]
        return lambda y: self.field(y) - mean

    def _probes(self, x: Tensor, total: int, step: int) -> Tensor | None:
        """Probes of Hutchinson's estimator, ``(2, batch, *shape)``; None where it is not used."""
        if self.divergence == "exact":
            return None
        draw = generator(self.seed, Draws.PROBES, step, x.device)
        return rademacher(x.new_empty(2, total, *x.shape[1:]), draw)[:, rows(total)]

    def loss(self, batch: Batch, step: int) -> Float[Tensor, ""]:
        """Relative residual, unevenness and error at known velocities."""
        r2, v2 = self._moments(batch, step)
        r2, v2, v4 = global_means(torch.stack([r2, v2, v2**2]), batch.total)
        excess = v4 / v2**2 - (1 + 1 / self.field.dim)
        condition = r2 / v2 + self.evenness * excess.relu()
        return condition + self.known_velocity_loss(self.field, step)
