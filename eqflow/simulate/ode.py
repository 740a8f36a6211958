"""Integration of the ODE ``dx/dt = v(x)`` by torchdiffeq, with fixed or adaptive steps."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchdiffeq import odeint

from eqflow.errors import InputError
from eqflow.simulate.base import FixedStep, Integrator, Noise, Velocity, check_times


def rk4_step(
    velocity: Velocity, x: Float[Tensor, "batch *shape"], dt: float
) -> Float[Tensor, "batch *shape"]:
    """One step ``dt`` of the classical Runge-Kutta method of order four, differentiable in ``x``.

    ``x + dt (k1 + 2 k2 + 2 k3 + k4) / 6`` with ``k1 = v(x)``, ``k2 = v(x + dt k1 / 2)``,
    ``k3 = v(x + dt k2 / 2)`` and ``k4 = v(x + dt k3)``.
    """
    # not the step of RK4 below: torchdiffeq's "rk4" is the 3/8 rule
    k1 = velocity(x)
    k2 = velocity(x + dt / 2 * k1)
    k3 = velocity(x + dt / 2 * k2)
    k4 = velocity(x + dt * k3)
    return x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


class RK4(FixedStep):
    """Runge-Kutta method of order four with fixed steps (torchdiffeq's, the 3/8 rule)."""

    def __init__(self, dt: float = 0.1) -> None:
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
"""Norm beyond which a trajectory has escaped, over ``1 + |x0|`` of the farthest initial state."""


SHORTEST_STEP = 1e-9
"""Shortest adaptive step: a state that changes faster diverges."""


class Dopri5(Integrator):
    """Dormand-Prince method of order five with adaptive steps (Dormand and Prince 1980).

    All trajectories share their steps, and the error of a step is at most ``atol + rtol |x|`` for
    the worst of them, so that the others do not change how accurate a trajectory is. Time stepping
    is in float64; the velocity is called with, and states are returned in, the type of ``x0``.
    A trajectory that escapes, beyond ``ESCAPE_FACTOR`` or to where the velocity is not finite, is
    NaN from then on and does not shorten the steps of the others.

    Args:
        rtol: Relative tolerance of a step.
        atol: Absolute tolerance of a step, in the units of the states.

    Raises ``InputError`` for a tolerance that is not positive.
    """

    def __init__(self, rtol: float = 1e-8, atol: float = 1e-8) -> None:
        for name, tolerance in (("rtol", rtol), ("atol", atol)):
            if not tolerance > 0:
                raise InputError(
                    f"integrator.{name}={tolerance} is not a tolerance; expected {name} > 0"
                )
        self.rtol, self.atol = rtol, atol

    def __str__(self) -> str:
        return f"{type(self).__name__}, rtol {self.rtol:g}"

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
        path[times[:, None] >= batch.escape_time] = torch.nan
        return path.to(x0.dtype)


class _Batch:
    """Right-hand side for torchdiffeq, in which escaped trajectories stand still without error.

    ``escape_time`` is infinite for a trajectory that has not escaped. It is looked for at the start
    of a step only, where states are accepted: the stages of a step that is too long may be
    anywhere.
    """

    def __init__(self, velocity: Velocity, x0: Float[Tensor, "batch *shape"]) -> None:
        finite = x0.flatten(1).isfinite().all(1)
        self.velocity, self.dtype = velocity, x0.dtype
        self.start = torch.where(_column(finite, x0), x0, 0).double()
        self.escape_time = torch.where(finite, torch.inf, -torch.inf).double()
        self.bound = ESCAPE_FACTOR * (1 + _sizes(self.start).max())

    @property
    def active(self) -> Bool[Tensor, " batch"]:
        """Mask of the trajectories that have not escaped."""
        return self.escape_time == torch.inf

    def __call__(self, time: Tensor, x: Tensor) -> Tensor:
        v = self.velocity(x.to(self.dtype)).double()
        # where v is not finite, one this large fails every step down to the shortest, then escapes
        v = v.nan_to_num(1e30, 1e30, -1e30)
        return torch.where(_column(self.active, x), v, 0)

    def callback_step(self, time: Tensor, x: Tensor, dt: Tensor) -> None:
        """Mark trajectories that have escaped; torchdiffeq calls this before each step."""
        self.escape_time[self.active & (_sizes(x) > self.bound)] = time

    def worst(self, error: Tensor) -> Float[Tensor, ""]:
        """Largest root mean square error of an active trajectory: the norm of torchdiffeq."""
        errors = error.flatten(1).square().mean(1).sqrt().nan_to_num(torch.inf)
        return torch.where(self.active, errors, 0).max()


def _sizes(x: Float[Tensor, "batch *shape"]) -> Float[Tensor, " batch"]:
    return torch.linalg.vector_norm(x.flatten(1), dim=1)


def _column(rows: Bool[Tensor, " batch"], like: Tensor) -> Tensor:
    return rows.view(-1, *(1,) * (like.ndim - 1))
