"""Explicit integration of stiff ODE, such as diffusion on a grid, by Runge-Kutta-Chebyshev steps.

Diffusion relaxes its shortest waves hundreds of times within a transit time. A step of the
second-order Runge-Kutta-Chebyshev method with ``s`` stages is stable for real negative eigenvalues
of the Jacobian down to about ``-2/3 s^2 / dt`` (Sommeijer, Shampine and Verwer 1997, J. Comput.
Appl. Math. 88), so that its work grows with the square root of the stiffness. Where the eigenvalue
of largest modulus is not negative, as in transport, a step is divided into steps of the classical
method of order four instead.
"""

from collections.abc import Callable
from functools import cache
from math import ceil, sqrt
from typing import NamedTuple

import torch
from jaxtyping import Float
from numpy.polynomial import Chebyshev
from torch import Tensor

from eqflow.simulate.base import Noise, Stepper, Stepwise, Velocity
from eqflow.simulate.ode import rk4_step

DAMPING = 2 / 13
"""Damping of the stability polynomial, as in the source: at most 0.95 away from the origin."""


RK4_STABILITY = 2.5
"""Largest ``dt |lambda|``, of real or imaginary ``lambda``, at which order four is stable."""


Step = Callable[[Velocity, Tensor, float], Tensor]
"""A step of a method: ``(velocity, x, dt)`` to the state after ``dt``."""


class Stable(Stepwise):
    """Integrator for stiff ODE with steps of at most ``dt`` in as many stages as stability needs.

    The spectral radius of the Jacobian is estimated by power iteration at the states, again after
    each output time. The method has order two where the dominant eigenvalue is real and negative,
    and order four elsewhere.

    Args:
        dt: Longest step, in transit times.
        safety: Factor on the estimated spectral radius.
    """

    def __init__(self, dt: float = 0.05, safety: float = 1.2) -> None:
        super().__init__(dt)
        self.safety = safety

    def stepper(self, velocity: Velocity, score: Velocity | None, noise: Noise | None) -> Stepper:
        def advance(x: Tensor, dt: float, steps: int) -> Tensor:
            step = self._step(velocity, x, dt)
            for _ in range(steps):
                x = step(velocity, x, dt)
            return x

        return advance

    def _step(self, velocity: Velocity, x: Tensor, dt: float) -> Step:
        """The step with the fewest stages that is stable at ``x``."""
        radius, real = stiffness(velocity, x)
        load = self.safety * radius * dt
        if real:
            stages = max(2, ceil(sqrt(1 + 1.54 * load)))
            return lambda v, x, dt: _chebyshev_step(v, x, dt, stages)
        parts = max(1, ceil(load / RK4_STABILITY))
        return lambda v, x, dt: _classical_steps(v, x, dt, parts)


class Stiffness(NamedTuple):
    """Spectral ``radius`` of a Jacobian; ``real`` if the eigenvalue of that modulus is negative."""

    radius: float
    real: bool


def stiffness(
    velocity: Velocity, x: Float[Tensor, "batch *shape"], iterations: int = 40, states: int = 4
) -> Stiffness:
    """Stiffness of a field: the dominant eigenvalue of its Jacobian at the first finite ``states``.

    Power iteration multiplies by the Jacobian through differences of velocities, which need no
    derivatives of the field. A complex pair makes the estimate oscillate, so that the largest of
    the last ten iterations counts.
    """
    x = x[x.flatten(1).isfinite().all(1)][:states]
    if not len(x):
        return Stiffness(0.0, True)
    base = velocity(x)
    size = 1e-3 * (1 + x.flatten(1).square().mean(1).sqrt()).view(-1, *(1,) * (x.ndim - 1))
    draw = torch.Generator(x.device).manual_seed(0)
    u = _unit(torch.randn(x.shape, generator=draw, dtype=x.dtype, device=x.device))
    growth = []
    for _ in range(iterations):
        image = (velocity(x + size * u) - base) / size
        along = (image * u).flatten(1).mean(1)
        growth.append(torch.stack([image.flatten(1).square().mean(1).sqrt(), along]))
        u = _unit(image)
    last = torch.stack(growth[-10:]).nan_to_num(0)
    lengths, along = last[:, 0].max(0).values, last[:, 1].max(0).values
    worst = int(lengths.argmax())
    return Stiffness(lengths[worst].item(), bool(along[worst] <= -0.8 * lengths[worst]))


def _unit(u: Tensor) -> Tensor:
    """Directions scaled to a root mean square of 1; zero stays zero."""
    return u / u.flatten(1).square().mean(1).sqrt().clamp_min(1e-30).view(-1, *(1,) * (u.ndim - 1))


def _classical_steps(velocity: Velocity, x: Tensor, dt: float, parts: int) -> Tensor:
    for _ in range(parts):
        x = rk4_step(velocity, x, dt / parts)
    return x


def _chebyshev_step(velocity: Velocity, x: Tensor, dt: float, stages: int) -> Tensor:
    """Step of the Runge-Kutta-Chebyshev method (Sommeijer, Shampine and Verwer 1997)."""
    first, rest = _coefficients(stages)
    f0 = velocity(x)
    before, here = x, x + first * dt * f0
    for mu, nu, mu_f, gamma in rest:
        moved = (1 - mu - nu) * x + mu * here + nu * before
        before, here = here, moved + dt * (mu_f * velocity(here) + gamma * f0)
    return here


@cache
def _coefficients(stages: int) -> tuple[float, list[tuple[float, float, float, float]]]:
    """Coefficient of the first stage, and ``mu, nu, mu~, gamma~`` of each later one."""
    w0 = 1 + DAMPING / stages**2
    t, slope, bend = zip(*(_values(j, w0) for j in range(stages + 1)), strict=True)
    w1 = slope[-1] / bend[-1]
    b = [0.0, 0.0] + [bend[j] / slope[j] ** 2 for j in range(2, stages + 1)]
    b[0] = b[1] = b[2]
    a = [1 - b[j] * t[j] for j in range(stages + 1)]
    rest = []
    for j in range(2, stages + 1):
        mu_f = 2 * b[j] * w1 / b[j - 1]
        rest.append((2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2], mu_f, -a[j - 1] * mu_f))
    return b[1] * w1, rest


def _values(degree: int, w: float) -> tuple[float, float, float]:
    """Chebyshev polynomial ``T_degree`` at ``w`` and its first two derivatives."""
    polynomial = Chebyshev.basis(degree)
    return float(polynomial(w)), float(polynomial.deriv()(w)), float(polynomial.deriv(2)(w))
