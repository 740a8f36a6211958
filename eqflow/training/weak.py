"""The weak form of the condition, by which a velocity network is trained (method section 5).

It needs no score, no divergence and no noise: the field lives on clean snapshots.
"""

from typing import Any

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
from eqflow.training.stage import StageModule
from eqflow.training.strong import NETWORK_STEPS
from eqflow.training.velocities import KnownVelocityLoss

WEIGHING_STATES = 8192
"""Number of states that the moments are weighted by and the orientation is decided at."""

DIFFERENCE_STEP = 0.1
"""Length of the finite differences for derivatives of a field, in standard deviations."""


class WeakModule(StageModule):
    """Trains a velocity network by the weak form of the condition.

    The loss is ``<g_even, g_odd> / (E|v|^2 / d) + smoothness E(|d_u v|^2 + |d_u^2 v|^2) / E|v|^2``.
    The moments ``g_m = E[v . grad phi_m]`` are those of ``functions`` random Fourier functions,
    combined so that they would be uncorrelated with equal variances for an isotropic velocity
    independent of the state. The product of the moments of even and odd rows of a batch estimates
    ``|g|^2`` without bias; the square of one estimate would be too large by its variance.

    Many fields make ``g`` small. Derivatives along Gaussian directions ``u`` pick the smoothest,
    which is this family's bias: ``E|d_u v|^2`` is the Dirichlet energy, which alone would rather
    remove the contraction from an attractor; ``d_u^2 v`` does not see a contraction. The loss
    does not depend on the sign of ``v``: after training the field is turned so that it contracts on
    average, as an attractor does, unless known ``velocities`` (standardised), whose error counts
    with ``velocity_weight``, have decided.

    ``states`` are the standardised training snapshots, ``training`` the arguments of
    :class:`StageModule`. Raises ``InputError`` for ``functions < 1`` and ``smoothness < 0``.
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
        steps: int | None = None,
        **training: Any,
    ) -> None:
        super().__init__(NETWORK_STEPS if steps is None else steps, **training)
        if functions < 1 or not smoothness >= 0:
            raise InputError(
                f"flow.functions={functions}, flow.smoothness={smoothness} found; "
                "expected functions >= 1, smoothness >= 0"
            )
        self.field, self.smoothness = field, smoothness
        self.known_velocity_loss = KnownVelocityLoss(velocities, velocity_weight, self.seed)
        # a stride, not the first ones: snapshots may come in the order of time
        self._weigh(states[:: -(-len(states) // WEIGHING_STATES)], functions)

    def _weigh(self, sample: Tensor, count: int) -> None:
        """Draw ``count`` test functions and the combination that makes moments uncorrelated."""
        z = sample.double()
        functions = FourierFunctions.of(z, count, seed=self.seed)
        mix = uncorrelated_functions(functions.slopes(z), functions.frequencies)
        parts = {"frequencies": functions.frequencies, "phases": functions.phases, "mix": mix}
        for name, part in {**parts, "sample": sample}.items():
            # a function of seed and snapshots: checkpoints need no copy
            self.register_buffer(name, part.to(sample), persistent=False)

    def _half(self, x: Tensor, v: Tensor, parity: int, total: int) -> Float[Tensor, " m"]:
        """This process's sums for the moments of even (0) or odd (1) rows of the global batch.

        They are scaled such that :func:`global_means`, which divides by ``total``, gives the mean.
        """
        mine = slice((parity - rows(total).start) % 2, None, 2)
        slopes = FourierFunctions(self.frequencies, self.phases).slopes(x[mine])
        tested = (slopes.T @ v[mine] * self.frequencies).sum(1)
        count = max((total + 1 - parity) // 2, 1)
        return total / count * tested @ self.mix

    def _differences(self, batch: Batch, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """``v``, ``d_u v`` and ``d_u^2 v`` along one random direction at each state."""
        x, total = batch
        h = DIFFERENCE_STEP
        u = h * normal(x, total, self.seed, Draws.PROBES, step)
        v, ahead, behind = self.field(torch.cat([x, x + u, x - u])).chunk(3)
        return v, (ahead - behind) / (2 * h), (ahead - 2 * v + behind) / h**2

    def moments(self, batch: Batch, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Moments ``g_even`` and ``g_odd``, ``E|v|^2`` and ``E(|d_u v|^2 + |d_u^2 v|^2)``.

        All are means over the global batch; the moments are of shape ``(functions,)``.
        """
        x, total = batch
        v, slope, bend = self._differences(batch, step)
        halves = [self._half(x, v, parity, total) for parity in (0, 1)]
        energies = torch.stack([v.square().sum(), slope.square().sum() + bend.square().sum()])
        means = global_means(torch.cat([*halves, energies])[:, None], total)
        even, odd = means[:-2].chunk(2)
        return even, odd, means[-2], means[-1]

    def loss(self, batch: Batch, step: int) -> Float[Tensor, ""]:
        """Weak form and roughness relative to the mean square speed, and error at velocities."""
        even, odd, speed, roughness = self.moments(batch, step)
        condition = (self.field.dim * even @ odd + self.smoothness * roughness) / speed
        return condition + self.known_velocity_loss(self.field, step)

    @torch.no_grad()
    def on_fit_end(self) -> None:
        """Turn the field so that it contracts, also where its training resumed after the end."""
        if self.known_velocity_loss.counts:
            return
        draw = generator(self.seed, Draws.PROBES, 2**31, self.sample.device)
        divergence = hutchinson(self.field, self.sample, rademacher(self.sample[None], draw))[1]
        if orientation(divergence[0]).sign < 0:
            self.field.reverse_()
