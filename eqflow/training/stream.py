"""Principles by which one stream field is chosen among those that keep the distribution exactly.

The residual of a stream field ``v = Q s + div Q`` vanishes for every antisymmetric ``Q`` if the
score ``s`` is a gradient (method section 4). What is minimised here decides between them.
"""

import logging
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.data import KnownVelocities
from eqflow.errors import InputError
from eqflow.fields import ExactNetwork, Stream
from eqflow.options import unknown
from eqflow.runtime import Draws, global_means, normal
from eqflow.score import asymmetry
from eqflow.training.batches import Batch, noised_batches
from eqflow.training.stage import StageModule
from eqflow.training.velocities import KnownVelocityLoss
from eqflow.training.weak import DIFFERENCE_STEP

log = logging.getLogger("eqflow")

PRINCIPLES = ("auto", "smooth", "acceleration", "velocities", "none")
"""Names of the principles: ``auto`` is ``velocities`` if some are known, else ``smooth``; ``none``
leaves the field as it is drawn at random."""

ASYMMETRY_STATES = 256
"""Number of states at which the asymmetry of a score is measured."""

ROUNDED_ASYMMETRY = 1e-3
"""Asymmetry of a score's Jacobian up to which single precision explains it."""


class StreamModule(StageModule):
    """Trains the network ``Q`` of a stream field by one of ``PRINCIPLES``.

    - ``smooth`` minimises ``E|grad v|^2 / E|v|^2``;
    - ``acceleration`` minimises ``d E|(v . grad) v|^2 / (E|v|^2)^2``, the mean square acceleration
      at unit speed, which is least for the straightest flow;
    - ``velocities`` minimises the relative squared error at known ``velocities`` (standardised)
      plus ``smoothness E|grad v|^2 / d``, which decides where none are known. That term is not
      relative to the speed: the smoothest would else be a fast field that rests at the velocities.

    Means are over states noised at the field's ``sigma``; derivatives are finite differences over
    about ``DIFFERENCE_STEP``. Raises ``InputError`` for an unknown principle, ``smoothness < 0``
    and ``principle="velocities"`` without velocities. ``training`` are the arguments of
    :class:`StageModule`.
    """

    stage = "flow"

    def __init__(
        self,
        field: Stream,
        velocities: KnownVelocities | None = None,
        principle: str = "auto",
        smoothness: float = 1e-4,
        steps: int = 1000,
        **training: Any,
    ) -> None:
        super().__init__(steps, **training)
        self.principle = resolved_principle(principle, velocities)
        if not smoothness >= 0:
            raise InputError(f"flow.smoothness={smoothness} found; expected smoothness >= 0")
        self.field, self.sigma, self.smoothness = field, field.sigma, smoothness
        field.score.requires_grad_(False)
        self.known_velocity_loss = KnownVelocityLoss(
            velocities if self.principle == "velocities" else None, seed=self.seed
        )

    def _derivative(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """``v`` and ``d_u v`` by central differences, to second order in ``u``."""
        ahead, behind = self.field(torch.cat([x + u, x - u])).chunk(2)
        return (ahead + behind) / 2, (ahead - behind) / 2

    def moments(self, batch: Batch, step: int) -> Float[Tensor, "2"]:
        """``E|v|^2`` and ``E|grad v|^2``, or ``E|(v . grad) v|^2``, over the global batch."""
        states, total = batch
        x = states + self.sigma * normal(states, total, self.seed, Draws.FLOW, step)
        length = DIFFERENCE_STEP
        if self.principle == "acceleration":
            u = self.field(x)
            (speed,) = global_means(u.detach().square().mean(1)[None], total)
            length = DIFFERENCE_STEP / speed.sqrt()
        else:
            u = normal(x, total, self.seed, Draws.PROBES, step)
        v, slope = self._derivative(x, length * u)
        return global_means(torch.stack([v, slope / length]).square().sum(2), total)

    def loss(self, batch: Batch, step: int) -> Float[Tensor, ""]:
        """The quantity that the principle minimises."""
        speed, rough = self.moments(batch, step)
        match self.principle:
            case "velocities":
                roughness = self.smoothness * rough / self.field.dim
                return self.known_velocity_loss(self.field, step) + roughness
            case "acceleration":
                return self.field.dim * rough / speed**2
        return rough / speed


def resolved_principle(principle: str, velocities: KnownVelocities | None) -> str:
    """The principle that an option means, ``auto`` resolved.

    Raises ``InputError`` for an unknown one and for ``velocities`` where none are known.
    """
    if principle not in PRINCIPLES:
        raise unknown("flow.principle=", principle, PRINCIPLES)
    if principle == "velocities" and velocities is None:
        raise InputError(
            "flow.principle=velocities found without velocities; expected data.velocities, or "
            "fit(X, velocities=)"
        )
    if principle == "auto":
        return "smooth" if velocities is None else "velocities"
    return principle


def warn_of_asymmetry(field: Stream, states: Float[Tensor, "n dim"]) -> None:
    """Warn where the score of a stream field is no gradient: the field is then not exact.

    ``states`` are standardised; the first ``ASYMMETRY_STATES`` of them are noised and looked at.
    """
    (x,) = noised_batches(states[:ASYMMETRY_STATES], field.sigma)
    relative = asymmetry(field.score, x, field.sigma)
    if relative > ROUNDED_ASYMMETRY:
        log.warning(
            "%s is exact where the score is a gradient; |J - J^T| / |J| of this score's Jacobian "
            "is %.2g, so that the field has a residual and its distribution drifts; expected "
            "score.conservative=true",
            "flow.exact=true" if isinstance(field, ExactNetwork) else "flow=stream",
            relative,
        )
