"""The weak form of the condition for a network: no score, no divergence, no noise."""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.data import KnownVelocities
from eqflow.errors import InputError
from eqflow.fields import Network
from eqflow.runtime import Draws, generator, global_means, normal, rows
from eqflow.stationarity import (
    FourierFunctions,
    hutchinson,
    orientation,
    rademacher,
    uncorrelated_functions,
)
from eqflow.training.batches import Batch
from eqflow.training.modules import StageModule
from eqflow.training.velocities import KnownVelocityLoss

SAMPLE = 8192
"""States that weigh the test functions and decide the orientation."""


STEP = 0.1
"""Length, in standard deviations, of the steps that derivatives are differences over."""


class WeakModule(StageModule):
    """A velocity network trained to leave the law of clean snapshots as it is (method section 5).

    The loss is ``|g|^2 / (E|v|^2 / d) + smoothness E(|d_u v|^2 + |d_u^2 v|^2) / E|v|^2``. The
    moments ``g_m = E v . grad phi_m`` are those of random Fourier functions, combined so that they
    are uncorrelated, with equal variances, for an isotropic velocity that is independent of the
    state. ``|g|^2`` is the product of the moments of even and odd rows: the square of one estimate
    would be biased upward by its variance.

    Many fields make it small; the derivatives along Gaussian directions ``u`` pick the smoothest,
    which is this family's bias: ``E|d_u v|^2`` is the Dirichlet energy, and alone would rather take
    the contraction out of an attractor, of which ``d_u^2 v`` takes nothing. The sign is free in the
    loss: after training the field is turned so that it contracts on average, as an attractor does,
    unless ``velocities``, whose error counts with ``velocity_weight``, have decided.

    ``states`` are the standardised training snapshots. Raises ``InputError`` for states that are no
    vectors, ``functions < 1`` and ``smoothness < 0``.
    """

    stage = "flow"
    sigma = 0.0
    frequencies: Tensor
    phases: Tensor
    mix: Tensor
    sample: Tensor

    def __init__(
        self,
        field: Network,
        states: Float[Tensor, "n dim"],
        functions: int = 250,
        smoothness: float = 0.01,
        velocities: KnownVelocities | None = None,
        velocity_weight: float = 1.0,
        steps: int = 3000,
        learning_rate: float = 1e-2,
        warmup: float = 0.05,
        seed: int = 0,
    ) -> None:
        super().__init__(steps, learning_rate, warmup, seed)
        if functions < 1 or not smoothness >= 0:
            raise InputError(
                f"flow.functions={functions}, flow.smoothness={smoothness} found; "
                "expected functions >= 1, smoothness >= 0"
            )
        self.field, self.smoothness = field, smoothness
        self.known_velocity_loss = KnownVelocityLoss(velocities, velocity_weight, seed)
        # a stride, not the first ones: snapshots may come in the order of time
        self._weigh(states[:: -(-len(states) // SAMPLE)], functions)

    def _weigh(self, sample: Tensor, count: int) -> None:
        z = sample.double()
        functions = FourierFunctions.of(z, count, seed=self.seed)
        mix = uncorrelated_functions(functions.slopes(z), functions.frequencies)
        parts = {"frequencies": functions.frequencies, "phases": functions.phases, "mix": mix}
        for name, part in {**parts, "sample": sample}.items():
            # a function of seed and snapshots: checkpoints need no copy
            self.register_buffer(name, part.to(sample), persistent=False)

    def _half(self, x: Tensor, v: Tensor, parity: int, total: int) -> Float[Tensor, " m"]:
        """This process's part of the moments of the even (0) or odd (1) rows, times ``total``."""
        mine = slice((parity - rows(total).start) % 2, None, 2)
        slopes = FourierFunctions(self.frequencies, self.phases).slopes(x[mine])
        tested = (slopes.T @ v[mine] * self.frequencies).sum(1)
        count = max((total + 1 - parity) // 2, 1)
        return total / count * tested @ self.mix

    def _differences(self, batch: Batch, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """``v``, ``d_u v`` and ``d_u^2 v`` along a random direction at each state."""
        x, total = batch
        u = STEP * normal(x, total, self.seed, Draws.PROBES, step)
        v, ahead, behind = self.field(torch.cat([x, x + u, x - u])).chunk(3)
        return v, (ahead - behind) / (2 * STEP), (ahead - 2 * v + behind) / STEP**2

    def moments(self, batch: Batch, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of the global batch: moments of its two halves, ``E|v|^2`` and the roughness."""
        x, total = batch
        v, slope, bend = self._differences(batch, step)
        halves = [self._half(x, v, parity, total) for parity in (0, 1)]
        energies = torch.stack([v.square().sum(), slope.square().sum() + bend.square().sum()])
        means = global_means(torch.cat([*halves, energies])[:, None], total)
        even, odd = means[:-2].chunk(2)
        return even, odd, means[-2], means[-1]

    def loss(self, batch: Batch, step: int) -> Float[Tensor, ""]:
        """Unbiased weak form and roughness, relative to the batch's speed, and known velocities."""
        even, odd, speed, roughness = self.moments(batch, step)
        condition = (self.field.dim * even @ odd + self.smoothness * roughness) / speed
        return condition + self.known_velocity_loss(self.field, step)

    @torch.no_grad()
    def on_train_end(self) -> None:
        if self.known_velocity_loss.counts:
            return
        draw = generator(self.seed, Draws.PROBES, 2**31, self.sample.device)
        divergence = hutchinson(self.field, self.sample, rademacher(self.sample[None], draw))[1]
        if orientation(divergence[0]).sign < 0:
            self.field.reverse_()
