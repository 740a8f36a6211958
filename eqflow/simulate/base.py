"""What every integrator offers."""

import logging
from collections.abc import Callable
from copy import copy
from itertools import pairwise
from math import ceil

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from eqflow.errors import InputError

log = logging.getLogger("eqflow")


Velocity = Callable[[Tensor], Tensor]


Noise = Callable[[int], Tensor]


class Integrator:
    """Integrator of a velocity field; time is in transit times."""

    def __call__(
        self,
        velocity: Velocity,
        x0: Float[Tensor, "batch *shape"],
        times: Float[Tensor, " times"],
        score: Velocity | None = None,
        noise: Noise | None = None,
    ) -> Float[Tensor, "times batch *shape"]:
        """States at ``times`` (increasing, the first is that of ``x0``).

        An SDE also takes ``score``, ``x -> s(x)``, and ``noise``, ``step -> (batch, *shape)``
        standard normal draws.
        """
        raise NotImplementedError

    def limited(self, longest: float) -> "Integrator":
        """This integrator with steps no longer than ``longest``; one that finds its own is itself.

        Fields that know how stiff they are have a ``longest_step``.
        """
        return self


class FixedStep(Integrator):
    """Steps no longer than ``dt``.

    ``eta`` is the strength of the restoring noise, in inverse transit times; 0 for an ODE.
    Raises ``InputError`` for ``dt <= 0`` or ``eta < 0``.
    """

    def __init__(self, dt: float = 0.05, eta: float = 0.0) -> None:
        if not dt > 0:
            raise InputError(f"integrator.dt={dt} is not a step; expected dt > 0")
        if not eta >= 0:
            raise InputError(f"integrator.eta={eta} is not a noise strength; expected eta >= 0")
        self.dt, self.eta = dt, eta

    def limited(self, longest: float) -> "FixedStep":
        if self.dt <= longest:
            return self
        log.info("integrator.dt=%g is too long for this field: steps of %.3g", self.dt, longest)
        shorter = copy(self)
        shorter.dt = longest
        return shorter

    def intervals(self, times: Float[Tensor, " times"]) -> list[tuple[float, float, int]]:
        """Start, end and number of steps, none longer than ``dt``, between output times.

        Raises ``InputError`` for times that do not increase.
        """
        check_times(times)
        spans = pairwise(times.tolist())
        return [(a, b, ceil((b - a) / self.dt - 1e-6)) for a, b in spans]


def check_times(times: Float[Tensor, " times"]) -> None:
    """Refuse output times that do not increase."""
    if len(times) < 2 or not bool((times.diff() > 0).all()):
        raise InputError(f"times={times.tolist()} found; expected at least two, increasing")


def within_radius(x: Float[Tensor, "batch *shape"], radius: float) -> Bool[Tensor, " batch"]:
    """States that are finite and within ``radius`` of the origin, standardised units."""
    flat = x.flatten(1)
    return flat.isfinite().all(1) & (torch.linalg.vector_norm(flat, dim=1) <= radius)


def bounding_radius(x: Float[Tensor, "batch *shape"]) -> float:
    """Twice the largest norm: a state farther from the origin has left (method section 8)."""
    return 2 * torch.linalg.vector_norm(x.flatten(1), dim=1).max().item()
