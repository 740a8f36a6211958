"""The states that pictures show: simulated as the measures simulate them, returned in raw units."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.data import Snapshots
from eqflow.evaluation import Protocol, held_out, true_path
from eqflow.model import FlowModel
from eqflow.report.entry import Entry
from eqflow.runtime import Draws, normal_batch
from eqflow.simulate import Integrator, Noise

SHOWN = 800
"""States that a picture starts from at most."""


AT_ONCE = 2**20
"""Numbers of states that are denoised at once."""


class Scene:
    """Model and snapshots of a run, seen in raw units.

    Every field is shown at the noise level ``sigma`` it lives at.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        model: FlowModel,
        snapshots: Snapshots,
        integrator: Integrator,
    ) -> None:
        self.model, self.snapshots = model, snapshots
        self.seed, self.integrator = config["seed"], integrator
        self.protocol = Protocol(starts=SHOWN, seed=self.seed)
        self.measured = Protocol(**config.get("protocol", {}), seed=self.seed)

    def states(self, sigma: float = 0.0) -> Float[np.ndarray, "n *shape"]:
        """Raw held-out states, noised and denoised at ``sigma``: what simulated ones must match."""
        return self.raw(self.denoised(held_out(self.snapshots, sigma, self.protocol)[1], sigma))

    def raw(self, z: Float[Tensor, "*states"]) -> Float[np.ndarray, "*states"]:
        """Standardised states on any device to raw ones."""
        return self.snapshots.standardiser.raw(z).cpu().double().numpy()

    def denoised(self, z: Float[Tensor, "*states"], sigma: float) -> Float[Tensor, "*states"]:
        """The expected clean state of each noised one, which is what a picture shows."""
        if not sigma:  # where there is no noise there is no score either
            return z
        states = z.flatten(0, z.ndim - len(self.snapshots.shape) - 1)
        rows = max(1, AT_ONCE // states[0].numel())
        clean = [self.model.score.denoise(some, sigma) for some in states.split(rows)]
        return torch.cat(clean).view_as(z)

    def velocity(
        self, entry: Entry, x: Float[np.ndarray, "n *shape"]
    ) -> Float[np.ndarray, "n *shape"]:
        """Raw velocity of an entry's field at raw states, per transit time."""
        units = self.snapshots.standardiser
        return units.raw_velocity(entry.velocity)(torch.as_tensor(x).to(units.mean)).cpu().numpy()

    def path(
        self,
        entry: Entry,
        times: Float[Tensor, " times"],
        runs: int = SHOWN,
        integrator: Integrator | None = None,
    ) -> Float[np.ndarray, "times runs *shape"]:
        """Raw denoised states at ``times`` of ``runs`` trajectories from held-out states."""
        x0 = held_out(self.snapshots, entry.sigma, self.protocol)[0][:runs]
        return self.path_from(entry, x0, times, integrator)

    def path_from(
        self,
        entry: Entry,
        x0: Float[Tensor, "runs *shape"],
        times: Float[Tensor, " times"],
        integrator: Integrator | None = None,
    ) -> Float[np.ndarray, "times runs *shape"]:
        """The same from given standardised states, at the level the field lives at.

        By the run's integrator if no other is given.
        """

        def score(x: Tensor) -> Tensor:
            return self.model.score(x, entry.sigma)

        integrator = (integrator or self.integrator).limited(entry.velocity.longest_step)
        path = integrator(entry.velocity, x0, times, score, self.noise(x0))
        return self.raw(self.denoised(path, entry.sigma))

    def noise(self, x0: Float[Tensor, "runs *shape"]) -> Noise:
        """Draws for an SDE from ``x0``, all of whose states one process simulates."""
        return lambda step: normal_batch(x0, len(x0), self.seed, Draws.SIMULATION, step)

    def velocities(
        self, entry: Entry
    ) -> tuple[Float[np.ndarray, "n *shape"], Float[np.ndarray, "n *shape"]] | None:
        """A field's and the true velocity at held-out states, standardised, at unit speed.

        None where the truth is not known. A sign that the data leave open is that of the truth.
        """
        if self.snapshots.velocity is None:
            return None
        x = held_out(self.snapshots, entry.sigma, self.protocol)[0]
        v, truth = (_unit(f(x)) for f in (entry.velocity, self.snapshots.velocity))
        if entry.findings and not entry.findings.oriented:
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
