"""The states that figures show: simulated as the measures simulate them, in raw units."""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.data import Snapshots
from eqflow.evaluation import ComparedField, Protocol, Reference, true_path
from eqflow.model import FlowModel
from eqflow.runtime import Draws, normal_batch
from eqflow.simulate import Integrator, Noise

SHOWN_STATES = 800
"""States that a figure starts from at most."""

DENOISED_NUMBERS = 2**20
"""Coordinates that are denoised at once."""


class Display:
    """States, paths and velocities of a run in raw units, as numpy arrays.

    Every field is shown at the noise level ``sigma`` it lives at, noised states denoised.
    """

    def __init__(
        self, model: FlowModel, snapshots: Snapshots, integrator: Integrator, seed: int = 0
    ) -> None:
        self.model, self.snapshots, self.integrator, self.seed = model, snapshots, integrator, seed
        protocol = Protocol(starts=SHOWN_STATES, seed=seed)
        self.reference = cache(lambda sigma: Reference(snapshots, sigma, protocol))

    def states(self, sigma: float = 0.0) -> Float[np.ndarray, "n *shape"]:
        """Raw held-out states, noised and denoised at ``sigma``: what simulated ones must match."""
        return self.raw(self.denoised(self.reference(sigma).held_out, sigma))

    def raw(self, z: Float[Tensor, "*states"]) -> Float[np.ndarray, "*states"]:
        """Standardised states on any device to raw ones."""
        return self.snapshots.standardiser.raw(z).cpu().double().numpy()

    def denoised(self, z: Float[Tensor, "*states"], sigma: float) -> Float[Tensor, "*states"]:
        """The expected clean state of each noised one, which is what a figure shows."""
        if not sigma:  # where there is no noise there is no score either
            return z
        states = z.flatten(0, z.ndim - len(self.snapshots.shape) - 1)
        rows = max(1, DENOISED_NUMBERS // states[0].numel())
        clean = [self.model.score.denoise(batch, sigma) for batch in states.split(rows)]
        return torch.cat(clean).view_as(z)

    def velocity(
        self, compared: ComparedField, x: Float[np.ndarray, "n *shape"]
    ) -> Float[np.ndarray, "n *shape"]:
        """Raw velocity of an compared's field at raw states, per transit time."""
        units = self.snapshots.standardiser
        return units.raw_velocity(compared.field)(torch.as_tensor(x).to(units.mean)).cpu().numpy()

    def path(
        self,
        compared: ComparedField,
        times: Float[Tensor, " times"],
        runs: int = SHOWN_STATES,
        integrator: Integrator | None = None,
    ) -> Float[np.ndarray, "times runs *shape"]:
        """Raw denoised states at ``times`` of ``runs`` trajectories from held-out states."""
        x0 = self.reference(compared.sigma).initial[:runs]
        return self.path_from(compared, x0, times, integrator)

    def path_from(
        self,
        compared: ComparedField,
        x0: Float[Tensor, "runs *shape"],
        times: Float[Tensor, " times"],
        integrator: Integrator | None = None,
    ) -> Float[np.ndarray, "times runs *shape"]:
        """The same from given standardised states, at the level the field lives at.

        By the run's integrator if no other is given.
        """

        def score(x: Tensor) -> Tensor:
            return self.model.score(x, compared.sigma)

        integrator = (integrator or self.integrator).limited(compared.field.longest_step)
        path = integrator(compared.field, x0, times, score, self.noise(x0))
        return self.raw(self.denoised(path, compared.sigma))

    def noise(self, x0: Float[Tensor, "runs *shape"]) -> Noise:
        """Draws for an SDE from ``x0``, all of whose states one process simulates."""
        return lambda step: normal_batch(x0, len(x0), self.seed, Draws.SIMULATION, step)

    def velocities(
        self, compared: ComparedField
    ) -> tuple[Float[np.ndarray, "n *shape"], Float[np.ndarray, "n *shape"]] | None:
        """A field's and the true velocity at held-out states, standardised, at unit speed.

        None where the truth is not known. A sign that the data leave open is that of the truth.
        """
        if self.snapshots.velocity is None:
            return None
        x = self.reference(compared.sigma).initial
        v, truth = (_unit(f(x)) for f in (compared.field, self.snapshots.velocity))
        if compared.findings and not compared.findings.oriented:
            v = v * (v * truth).sum().sign()
        return v.cpu().numpy(), truth.cpu().numpy()

    def true_path(
        self, times: Float[Tensor, " times"], runs: int
    ) -> Float[np.ndarray, "times runs *shape"] | None:
        """Trajectories of the true system from clean states at unit speed, where it is known."""
        return self.true_path_from(self.snapshots.test[:runs], times)

    def true_path_from(
        self, x0: Float[Tensor, "runs *shape"], times: Float[Tensor, " times"]
    ) -> Float[np.ndarray, "times runs *shape"] | None:
        """The same from given standardised states."""
        path = true_path(self.snapshots, x0, times)
        return None if path is None else self.raw(path)


def _unit(v: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *shape"]:
    return v / v.square().mean().sqrt()
