"""Which of the fields that keep a law exactly: principles that a stream field is chosen by."""

import logging

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.data import KnownVelocities
from eqflow.errors import InputError
from eqflow.fields import Stream
from eqflow.runtime import Draws, global_means, normal
from eqflow.score import asymmetry
from eqflow.training.batches import Batch, noised_batches
from eqflow.training.modules import StageModule
from eqflow.training.velocities import KnownVelocityLoss
from eqflow.training.weak import STEP

log = logging.getLogger("eqflow")


PRINCIPLES = ("auto", "smooth", "acceleration", "velocities", "none")
"""``auto`` is ``velocities`` where some are known, else ``smooth``; ``none`` is no training."""


ROUNDING, MEASURED = 1e-3, 256
"""Asymmetry of a score that single precision explains, and states it is measured at."""


class StreamModule(StageModule):
    """Chooses ``Q`` of a stream field, whose residual is zero whatever it is.

    ``smooth`` minimises ``E |grad v|^2 / E |v|^2``, ``acceleration``
    ``d E |(v . grad) v|^2 / (E |v|^2)^2``, both at states noised at the field's ``sigma``: the
    straightest flow of unit speed. ``velocities`` minimises the relative squared error at known
    velocities plus ``smoothness E |grad v|^2 / d``, which decides elsewhere; it is not relative to
    the speed, since then a fast field that rests at the velocities would be the smoothest.
    Derivatives are differences over steps of about ``STEP``. Raises ``InputError`` for an unknown
    principle, ``smoothness < 0`` and velocities that are asked for and missing.
    """

    stage = "flow"

    def __init__(
        self,
        field: Stream,
        velocities: KnownVelocities | None = None,
        principle: str = "auto",
        smoothness: float = 1e-4,
        steps: int = 1000,
        learning_rate: float = 1e-2,
        warmup: float = 0.05,
        seed: int = 0,
    ) -> None:
        super().__init__(steps, learning_rate, warmup, seed)
        self.principle = chosen(principle, velocities)
        if not smoothness >= 0:
            raise InputError(f"flow.smoothness={smoothness} found; expected smoothness >= 0")
        self.field, self.sigma, self.smoothness = field, field.sigma, smoothness
        field.score.requires_grad_(False)
        self.known_velocity_loss = KnownVelocityLoss(
            velocities if self.principle == "velocities" else None, seed=seed
        )

    def _derivative(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """``v`` and ``d_u v`` to second order in ``u``."""
        ahead, behind = self.field(torch.cat([x + u, x - u])).chunk(2)
        return (ahead + behind) / 2, (ahead - behind) / 2

    def moments(self, batch: Batch, step: int) -> Float[Tensor, "2"]:
        """Of the global batch: ``E |v|^2``, and ``E |grad v|^2`` or ``E |(v . grad) v|^2``."""
        states, total = batch
        x = states + self.sigma * normal(states, total, self.seed, Draws.FLOW, step)
        length = STEP
        if self.principle == "acceleration":
            u = self.field(x)
            (speed,) = global_means(u.detach().square().mean(1)[None], total)
            length = STEP / speed.sqrt()
        else:
            u = normal(x, total, self.seed, Draws.PROBES, step)
        v, slope = self._derivative(x, length * u)
        return global_means(torch.stack([v, slope / length]).square().sum(2), total)

    def loss(self, batch: Batch, step: int) -> Float[Tensor, ""]:
        """What the principle makes small, of the global batch."""
        speed, rough = self.moments(batch, step)
        match self.principle:
            case "velocities":
                roughness = self.smoothness * rough / self.field.dim
                return self.known_velocity_loss(self.field, step) + roughness
            case "acceleration":
                return self.field.dim * rough / speed**2
        return rough / speed


def chosen(principle: str, velocities: KnownVelocities | None) -> str:
    """The principle meant; raises ``InputError`` for an unknown one, or if none are known."""
    if principle not in PRINCIPLES:
        expected = ", ".join(PRINCIPLES)
        raise InputError(f"flow.principle={principle} is unknown; expected one of {expected}")
    if principle == "velocities" and velocities is None:
        raise InputError(
            "flow.principle=velocities found without velocities; expected data.velocities, or "
            "fit(X, velocities=)"
        )
    if principle == "auto":
        return "smooth" if velocities is None else "velocities"
    return principle


def warn_of_asymmetry(field: Stream, states: Float[Tensor, "n dim"]) -> None:
    """Say it where the score is no gradient, so that the field keeps no law exactly."""
    (x,) = noised_batches(states[:MEASURED], field.sigma)
    found = asymmetry(field.score, x, field.sigma)
    if found > ROUNDING:
        log.warning(
            "flow=stream is exact where the score is a gradient; |J - J^T| / |J| of this score's "
            "Jacobian is %.2g; expected score.conservative=true",
            found,
        )
