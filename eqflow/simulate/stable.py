"""Integration of stiff fields with explicit steps whose stability is bought by stages.

Diffusion on a grid relaxes its shortest waves hundreds of times within a transit time. A step of
the second-order Runge-Kutta-Chebyshev method with ``s`` stages is stable for real negative
eigenvalues down to about ``-2/3 s^2 / dt`` (Sommeijer, Shampine and Verwer 1997, J. Comput. Appl.
Math. 88), so its work grows with the root of the stiffness. Steps are shorter where their estimated
error asks for it: a pattern at rest has transit times that are long beside its own reactions. Where
the largest eigenvalue is not negative, as in transport, the step is divided for the classical
method of order four.
"""

from functools import cache
from math import ceil, inf, sqrt
from typing import NamedTuple

import torch
from jaxtyping import Float
from numpy.polynomial import Chebyshev
from torch import Tensor

from eqflow.errors import InputError
from eqflow.simulate.base import FixedStep, Noise, Velocity

DAMPING = 2 / 13
"""Of the stability polynomial, as in the source: at most 0.95 away from the origin."""

REACH = 2.5
"""``dt`` times an eigenvalue that a step of order four bears on both axes."""

SHORTEST = 1 / 512
"""Of ``dt``: images that are on their way to infinity do not hold up the others for longer."""


class Stable(FixedStep):
    """Steps of at most ``dt`` in as many stages as the field's stiffness asks for.

    The spectral radius of the Jacobian is estimated by power iteration at the states themselves,
    anew after each output time, and taken ``safety`` times as large. Of second order where
    eigenvalues are real, with an error of at most ``tolerance`` a step, rms of any image; of fourth
    elsewhere; ``score`` and ``noise`` are not used.
    """

    def __init__(self, dt: float = 0.05, safety: float = 1.2, tolerance: float = 1e-3) -> None:
        super().__init__(dt)
        if not tolerance > 0:
            raise InputError(f"integrator.tolerance={tolerance} found; expected an error > 0")
        self.safety, self.tolerance = safety, tolerance

    def __call__(
        self,
        velocity: Velocity,
        x0: Float[Tensor, "batch *shape"],
        times: Float[Tensor, " times"],
        score: Velocity | None = None,
        noise: Noise | None = None,
    ) -> Float[Tensor, "times batch *shape"]:
        states = [x0]
        for start, end, steps in self.intervals(times):
            x, length = states[-1], end - start
            radius, real = stiffness(velocity, x)
            load = self.safety * radius
            if real:
                states.append(self._controlled(velocity, x, length, load))
            else:
                parts = steps * max(1, ceil(load * length / steps / REACH))
                states.append(_classical_steps(velocity, x, length / parts, parts))
        return torch.stack(states)

    def _controlled(self, velocity: Velocity, x: Tensor, length: float, load: float) -> Tensor:
        """Over a ``length`` of time, in steps whose error is under control."""
        shortest, step, left, f = SHORTEST * self.dt, self.dt, length, velocity(x)
        while left > 1e-9 * length:
            step = min(step, left)
            stages = max(2, ceil(sqrt(1 + 1.54 * load * step)))
            ahead = _chebyshev_step(velocity, x, f, step, stages)
            f_ahead = velocity(ahead)
            wrong = _error(x, ahead, step * f, step * f_ahead) / self.tolerance
            if wrong <= 1 or step <= shortest:
                x, f, left = ahead, f_ahead, left - step
            step *= min(2.0, max(0.1, 0.8 * max(wrong, 1e-6) ** (-1 / 3)))
            step = min(self.dt, max(shortest, step))
        return x


def _error(x: Tensor, ahead: Tensor, before: Tensor, after: Tensor) -> float:
    """Estimated error of a step, from its ends and ``dt v`` there: the largest rms of an image.

    That of the third order, as in the source; states that are lost already do not count.
    """
    each = (0.8 * (x - ahead) + 0.4 * (before + after)).flatten(1).square().mean(1).sqrt()
    alive = x.flatten(1).isfinite().all(1)
    return float(each[alive].nan_to_num(inf).max()) if alive.any() else 0.0


class Stiffness(NamedTuple):
    """Spectral ``radius`` of a Jacobian; ``real`` if its largest eigenvalue is negative."""

    radius: float
    real: bool


def stiffness(
    velocity: Velocity, x: Float[Tensor, "batch *shape"], iterations: int = 40, states: int = 4
) -> Stiffness:
    """Largest eigenvalue of the Jacobian at some of the states, by power iteration.

    Products with the Jacobian are differences of two velocities, so any field has them, in any
    thread. The radius is the largest of the last iterations': a complex pair makes it swing.
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
    """At a root mean square of one; a direction that vanished stays zero."""
    return u / u.flatten(1).square().mean(1).sqrt().clamp_min(1e-30).view(-1, *(1,) * (u.ndim - 1))


def _classical_steps(velocity: Velocity, x: Tensor, h: float, steps: int) -> Tensor:
    for _ in range(steps):
        k1 = velocity(x)
        k2 = velocity(x + h / 2 * k1)
        k3 = velocity(x + h / 2 * k2)
        k4 = velocity(x + h * k3)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return x


def _chebyshev_step(velocity: Velocity, x: Tensor, f0: Tensor, dt: float, stages: int) -> Tensor:
    """One step of the method of Sommeijer, Shampine and Verwer; ``f0`` is the velocity at ``x``."""
    first, rest = _coefficients(stages)
    before, here = x, x + first * dt * f0
    for mu, nu, mu_f, gamma in rest:
        moved = (1 - mu - nu) * x + mu * here + nu * before
        before, here = here, moved + dt * (mu_f * velocity(here) + gamma * f0)
    return here


@cache
def _coefficients(stages: int) -> tuple[float, list[tuple[float, float, float, float]]]:
    """Of the first stage, and ``mu, nu, mu~, gamma~`` of the others."""
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
    """A Chebyshev polynomial and its first two derivatives."""
    polynomial = Chebyshev.basis(degree)
    return float(polynomial(w)), float(polynomial.deriv()(w)), float(polynomial.deriv(2)(w))
