"""States, trajectories and velocities of a run's fields in raw units, for its figures."""

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.data import Snapshots
from eqflow.evaluation import ComparedField, Protocol, Reference, simulated, step, true_path
from eqflow.model import FlowModel
from eqflow.report.text import coordinates
from eqflow.runtime import Draws, normal_batch
from eqflow.simulate import RK4, Integrator, Noise

SHOWN_STATES = 800
"""Largest number of states in a figure."""

DENOISED_NUMBERS = 2**20
"""Coordinates that are denoised in one batch."""

DRAWN_ORBITS, ORBIT_STEP = 3, 0.1
"""Number of trajectories in a portrait, and transit times between two of their states."""


@dataclass(eq=False)
class Display:
    """Simulations of a run's fields, in raw units, for its figures.

    A field is simulated at its own noise level ``sigma``; noised states are shown denoised.

    Arguments:
        model: the score model, and the field of the run.
        snapshots: the data, with the true velocity if it is known.
        integrator: the integrator that the run is evaluated with.
        seed: seed of the noise on states and in SDEs.
        orbit_time: length of the trajectories in portraits, in transit times.
        sde_time: length of the SDE's trajectories in the overview, in transit times.
        textured_images: number of images that are simulated for their textures.
        film_frames: number of frames in a film.
    """

    model: FlowModel
    snapshots: Snapshots
    integrator: Integrator
    seed: int = 0
    orbit_time: float = 30.0
    sde_time: float = 5.0
    textured_images: int = 24
    film_frames: int = 60

    def __post_init__(self) -> None:
        protocol = Protocol(starts=SHOWN_STATES, seed=self.seed)
        self.reference = cache(lambda sigma: Reference(self.snapshots, sigma, protocol))

    @property
    def coordinates(self) -> list[str]:
        """Names of the coordinates that figures of state space show, at most three."""
        return coordinates(self.snapshots.shape[0], self.snapshots.names)

    @property
    def ode(self) -> Integrator:
        """The run's integrator, or one without noise where it has noise."""
        return RK4(step(self.integrator)) if self.integrator.eta else self.integrator

    def states(self, sigma: float = 0.0) -> Float[np.ndarray, "n *shape"]:
        """Raw held-out states, noised at ``sigma`` and denoised, as simulated states are."""
        return self.raw(self.denoised(self.reference(sigma).held_out, sigma))

    def raw(self, z: Float[Tensor, "*states"]) -> Float[np.ndarray, "*states"]:
        """Standardised states, on any device, in raw units."""
        return self.snapshots.standardiser.raw(z).cpu().double().numpy()

    def denoised(self, z: Float[Tensor, "*states"], sigma: float) -> Float[Tensor, "*states"]:
        """Expected clean states ``E[x_0 | z]`` of standardised states with noise ``sigma``."""
        if not sigma:  # a run at noise level 0 may have no score
            return z
        states = z.flatten(0, z.ndim - len(self.snapshots.shape) - 1)
        rows = max(1, DENOISED_NUMBERS // states[0].numel())
        clean = [self.model.score.denoise(batch, sigma) for batch in states.split(rows)]
        return torch.cat(clean).view_as(z)

    def velocity(
        self, compared: ComparedField, x: Float[np.ndarray, "n *shape"]
    ) -> Float[np.ndarray, "n *shape"]:
        """Velocity of a field at raw states ``x``, in raw units per transit time."""
        units = self.snapshots.standardiser
        return units.raw_velocity(compared.field)(torch.as_tensor(x).to(units.mean)).cpu().numpy()

    def path(
        self, compared: ComparedField, times: Float[Tensor, " times"], runs: int = SHOWN_STATES
    ) -> Float[np.ndarray, "times runs *shape"]:
        """Raw denoised states of ``runs`` trajectories from held-out states, at ``times``."""
        return self.path_from(compared, self.reference(compared.sigma).initial[:runs], times)

    def path_from(
        self,
        compared: ComparedField,
        x0: Float[Tensor, "runs *shape"],
        times: Float[Tensor, " times"],
        integrator: Integrator | None = None,
    ) -> Float[np.ndarray, "times runs *shape"]:
        """Raw denoised states of trajectories from standardised states ``x0``, at ``times``.

        ``x0`` has the noise level of the field. ``integrator`` replaces that of the run.
        """

        def score(x: Tensor) -> Tensor:
            return self.model.score(x, compared.sigma)

        integrator = (integrator or self.integrator).limited(compared.field.longest_step)
        path = integrator(compared.field, x0, times, score, self.noise(x0))
        return self.raw(self.denoised(path, compared.sigma))

    def after(self, compared: ComparedField, horizon: float) -> Float[np.ndarray, "n *shape"]:
        """Raw denoised states after ``horizon`` transit times, of those that were measured."""
        field, reference = compared.field, compared.reference
        if field not in reference.paths:
            parts = (self.model.score, reference, self.integrator)
            reference.paths[field] = simulated(field, *parts)
        states = reference.paths[field][horizon][:SHOWN_STATES]
        return self.raw(self.denoised(states, compared.sigma))

    @lru_cache(maxsize=2)  # noqa: B019 - of a run's page, which ends with its display
    def orbits(
        self, compared: ComparedField, integrator: Integrator
    ) -> Float[np.ndarray, "times runs *shape"]:
        """The trajectories of a field that portraits show, kept for the next of them."""
        x0 = self.reference(compared.sigma).initial[:DRAWN_ORBITS]
        return self.path_from(compared, x0, self.orbit_times, integrator)

    @property
    def orbit_times(self) -> Float[Tensor, " times"]:
        """Transit times of the states in a portrait's trajectories."""
        return torch.arange(0, self.orbit_time, ORBIT_STEP)

    def noise(self, x0: Float[Tensor, "runs *shape"]) -> Noise:
        """Noise of an SDE from ``x0``: a function of the seed and the number of the step."""
        return lambda step: normal_batch(x0, len(x0), self.seed, Draws.SIMULATION, step)

    def velocities(
        self, compared: ComparedField
    ) -> tuple[Float[np.ndarray, "n *shape"], Float[np.ndarray, "n *shape"]] | None:
        """Velocity of a field and true velocity at held-out states, standardised, at unit speed.

        None where the truth is not known. Where the data leave the sign of a field open, it has
        the sign of the truth.
        """
        if self.snapshots.velocity is None:
            return None
        x = self.reference(compared.sigma).initial
        v, truth = (_unit(f(x)) for f in (compared.field, self.snapshots.velocity))
        if compared.findings and not compared.findings.oriented:
            v = v * (v * truth).sum().sign()
        return v.cpu().numpy(), truth.cpu().numpy()

    def true_path(
        self, x0: Float[Tensor, "runs *shape"], times: Float[Tensor, " times"]
    ) -> Float[np.ndarray, "times runs *shape"] | None:
        """Raw states of the true system from clean standardised ``x0``, at unit speed.

        None where the true system is not known.
        """
        path = true_path(self.snapshots, x0, times)
        return None if path is None else self.raw(path)


def _unit(v: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *shape"]:
    """``v`` at unit speed: a root mean square of 1."""
    return v / v.square().mean().sqrt()
