"""Integration of ``dx/dt = v(x)`` with fixed steps, through torchdiffeq."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchdiffeq import odeint

from eqflow.errors import InputError
from eqflow.simulate.base import FixedStep, Integrator, Noise, Velocity, check_times


class RK4(FixedStep):
    """Fourth-order Runge-Kutta; ``score`` and ``noise`` are not used."""

    def __init__(self, dt: float = 0.05) -> None:
        super().__init__(dt)

    def __call__(
        self,
        velocity: Velocity,
        x0: Float[Tensor, "batch *shape"],
        times: Float[Tensor, " times"],
        score: Velocity | None = None,
        noise: Noise | None = None,
    ) -> Float[Tensor, "times batch *shape"]:
        # every output time is a grid point: between them torchdiffeq interpolates linearly
        spans = [
            torch.linspace(a, b, n + 1, dtype=torch.double)[:-1]
            for a, b, n in self.intervals(times)
        ]
        grid = torch.cat([*spans, times[-1:].cpu()]).to(x0)
        return odeint(
            lambda _, x: velocity(x),
            x0,
            times.to(x0),
            method="rk4",
            options={"grid_constructor": lambda f, x, t: grid},
        )


ESCAPE_FACTOR = 100.0
"""A trajectory has left beyond this many times ``1 + |x|`` of the start farthest out."""


SHORTEST_STEP = 1e-9
"""Steps are not refined below this: what changes faster is on its way to infinity."""


class Dopri5(Integrator):
    """Dormand-Prince of order five (1980) with adaptive steps; ``score``, ``noise`` are not used.

    The batch shares its steps, and each of them meets ``atol + rtol |x|`` for every trajectory:
    none is integrated worse for its company. Time stepping is in float64; the velocity sees, and
    the caller gets, the type of ``x0``. A trajectory that leaves (farther than ``ESCAPE_FACTOR``, or to
    where the velocity is not finite) is NaN from then on and does not hold up the others. Raises
    ``InputError`` for a tolerance that is not positive.
    """

    def __init__(self, rtol: float = 1e-8, atol: float = 1e-8) -> None:
        for name, tolerance in (("rtol", rtol), ("atol", atol)):
            if not tolerance > 0:
                raise InputError(
                    f"integrator.{name}={tolerance} is not a tolerance; expected {name} > 0"
                )
        self.rtol, self.atol = rtol, atol

    def __call__(
        self,
        velocity: Velocity,
        x0: Float[Tensor, "batch *shape"],
        times: Float[Tensor, " times"],
        score: Velocity | None = None,
        noise: Noise | None = None,
    ) -> Float[Tensor, "times batch *shape"]:
        check_times(times)
        times, batch = times.to(x0.device, torch.double), _Batch(velocity, x0)
        options = {"norm": batch.worst, "min_step": SHORTEST_STEP}
        path = odeint(batch, batch.start, times, rtol=self.rtol, atol=self.atol, options=options)
        path[times[:, None] >= batch.left] = torch.nan
        return path.to(x0.dtype)


class _Batch:
    """The right-hand side for torchdiffeq; ``left`` is the time at which each trajectory left.

    Those that left stand still and count for no error. They are found at the start of a step,
    where states are accepted ones: stages of a step that is too long may be anywhere.
    """

    def __init__(self, velocity: Velocity, x0: Float[Tensor, "batch *shape"]) -> None:
        finite = x0.flatten(1).isfinite().all(1)
        self.velocity, self.dtype = velocity, x0.dtype
        self.start = torch.where(_column(finite, x0), x0, 0).double()
        self.left = torch.where(finite, torch.inf, -torch.inf).double()
        self.bound = ESCAPE_FACTOR * (1 + _sizes(self.start).max())

    @property
    def here(self) -> Bool[Tensor, " batch"]:
        """Trajectories that have not left."""
        return self.left == torch.inf

    def __call__(self, time: Tensor, x: Tensor) -> Tensor:
        v = self.velocity(x.to(self.dtype)).double()
        # where it is not finite, a velocity this large fails every step and at last takes x away
        v = v.nan_to_num(1e30, 1e30, -1e30)
        return torch.where(_column(self.here, x), v, 0)

    def callback_step(self, time: Tensor, x: Tensor, dt: Tensor) -> None:
        """Called by torchdiffeq before each step."""
        self.left[self.here & (_sizes(x) > self.bound)] = time

    def worst(self, error: Tensor) -> Float[Tensor, ""]:
        """Root mean square over a state, of the trajectory where it is largest."""
        errors = error.flatten(1).square().mean(1).sqrt().nan_to_num(torch.inf)
        return torch.where(self.here, errors, 0).max()


def _sizes(x: Float[Tensor, "batch *shape"]) -> Float[Tensor, " batch"]:
    return torch.linalg.vector_norm(x.flatten(1), dim=1)


def _column(rows: Bool[Tensor, " batch"], like: Tensor) -> Tensor:
    return rows.view(-1, *(1,) * (like.ndim - 1))
