"""Interface of integrators, and the radius beyond which a simulated state has escaped."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from itertools import pairwise
from math import ceil

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.text import shortened

Velocity = Callable[[Tensor], Tensor]
"""Map of states ``(batch, *shape)`` to vectors of that shape: a velocity or a score."""


Stepper = Callable[[Tensor, float, int], Tensor]
"""Method applied to a field: ``(x, dt, steps)`` to the state after ``steps`` steps of ``dt``."""


Noise = Callable[[int], Tensor]
"""Standard normal draws ``(batch, *shape)`` of a step, by its number."""


class Integrator(ABC):
    """Numerical method for ``dx/dt = v(x)``, or for an SDE with the velocity ``v``.

    Time has the unit of ``1 / v``: transit times for normalised fields of standardised states.

    Attributes:
        dt: Longest step of a method with fixed steps; None if its steps are adaptive.
        eta: Strength of the restoring noise, in inverse transit times.
        stochastic: Whether the method integrates an SDE, and needs a score and noise.
    """

    dt: float | None = None
    eta: float = 0.0
    stochastic = False

    def __str__(self) -> str:
        """Name and step, as a report shows them."""
        return type(self).__name__ + (f", dt {self.dt:g}" if self.dt else "")

    @abstractmethod
    def __call__(
        self,
        velocity: Velocity,
        x0: Float[Tensor, "batch *shape"],
        times: Float[Tensor, " times"],
        score: Velocity | None = None,
        noise: Noise | None = None,
    ) -> Float[Tensor, "times batch *shape"]:
        """States of the trajectories at ``times``.

        Args:
            velocity: The field ``v``.
            x0: Initial states.
            times: Increasing times, of which the first is that of ``x0``.
            score: The score ``s``, which an SDE needs and an ODE ignores.
            noise: Standard normal draws of each step, which an SDE needs and an ODE ignores.

        Raises ``InputError`` for times that do not increase, and for an SDE without score or noise.
        """

    def limited(self, longest: float) -> "Integrator":
        """This integrator with steps no longer than ``longest``; itself if its steps are adaptive.

        A field that knows its stiffness says how long with its ``longest_step``.
        """
        return self


class FixedStep(Integrator):
    """Integrator with steps of fixed length, at most ``dt``.

    Args:
        dt: Longest step, in transit times.
        eta: Strength of the restoring noise, in inverse transit times; 0 for an ODE.

    Raises ``InputError`` for ``dt <= 0`` or ``eta < 0``.
    """

    dt: float

    def __init__(self, dt: float = 0.05, eta: float = 0.0) -> None:
        if not dt > 0:
            raise InputError(f"integrator.dt={dt} is not a step; expected dt > 0")
        if not eta >= 0:
            raise InputError(f"integrator.eta={eta} is not a noise strength; expected eta >= 0")
        self.dt, self.eta = dt, eta

    def limited(self, longest: float) -> "FixedStep":
        if self.dt <= longest:
            return self
        shorter = copy(self)
        shorter.dt = longest
        return shorter

    def intervals(self, times: Float[Tensor, " times"]) -> list[tuple[float, float, int]]:
        """Start, end and number of steps of each interval between output times.

        Raises ``InputError`` for times that do not increase.
        """
        check_times(times)
        spans = pairwise(times.tolist())
        return [(a, b, ceil((b - a) / self.dt - 1e-6)) for a, b in spans]


class Stepwise(FixedStep):
    """Integrator that takes its fixed steps one after another."""

    def __call__(
        self,
        velocity: Velocity,
        x0: Float[Tensor, "batch *shape"],
        times: Float[Tensor, " times"],
        score: Velocity | None = None,
        noise: Noise | None = None,
    ) -> Float[Tensor, "times batch *shape"]:
        states, advance = [x0], self.stepper(velocity, score, noise)
        for start, end, steps in self.intervals(times):
            states.append(advance(states[-1], (end - start) / steps, steps))
        return torch.stack(states)

    @abstractmethod
    def stepper(self, velocity: Velocity, score: Velocity | None, noise: Noise | None) -> Stepper:
        """The method applied to a field; raises ``InputError`` where it lacks a score or noise."""


def check_times(times: Float[Tensor, "*times"]) -> None:
    """Raise ``InputError`` unless there are two finite times at least, and they increase."""
    if times.ndim != 1 or len(times) < 2 or not times.isfinite().all() or (times.diff() <= 0).any():
        raise InputError(
            f"times={shortened(times.tolist())} found; expected a list of increasing times that "
            "starts with that of the initial states, as [0, 10]"
        )


def within_radius(x: Float[Tensor, "batch *shape"], radius: float) -> Bool[Tensor, " batch"]:
    """Mask of the states that are finite and at most ``radius`` from the origin."""
    flat = x.flatten(1)
    return flat.isfinite().all(1) & (torch.linalg.vector_norm(flat, dim=1) <= radius)


def bounding_radius(x: Float[Tensor, "batch *shape"]) -> float:
    """Twice the largest norm: a state farther from the origin has escaped (method section 8)."""
    return 2 * torch.linalg.vector_norm(x.flatten(1), dim=1).max().item()
