"""Lyapunov exponents of a field: the rates at which neighbouring trajectories part.

A frame of tangent vectors moves with ``dQ/dt = J(x) Q`` and is made orthonormal again and again;
the logarithms of what that takes, the diagonals of ``R``, over time are the exponents, largest
first (Benettin et al. 1980, Meccanica 15).

The states come first; then the linear maps of all steps are the derivatives of the Runge-Kutta
step, in large batches. That is the method for the pair of state and frame, and the exponents are
those of the trajectories as they are simulated: interpolating Jacobians between states instead
reads growth where orbits are fast and closed.
"""

from dataclasses import dataclass, replace
from math import ceil, inf, log

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.runtime import Draws, generator
from eqflow.simulate import within_radius
from eqflow.stationarity import Velocity, jacobian

STEPS = 10
"""Steps from one orthonormalisation to the next."""


AT_ONCE = 4096
"""Steps whose derivatives are taken at once, more if one window has more."""


BLOCKS = 4
"""Successive parts of a trajectory whose spread is the error of its largest exponent: few, for the
frame's direction makes short ones vary more than the whole."""


@dataclass(frozen=True)
class Growth:
    """Growth rates of the tangent frames along trajectories, in successive windows of time.

    ``rates`` are float64, per unit of time, and NaN for trajectories that left; ``window`` is the
    length of one, ``transient`` the time before the first; ``speed`` is the mean square of a
    coordinate of the velocity along each trajectory.
    """

    rates: Float[Tensor, "windows n dim"]
    speed: Float[Tensor, " n"]
    window: float
    transient: float

    @property
    def duration(self) -> float:
        """Time over which the rates are taken."""
        return len(self.rates) * self.window

    @property
    def exponents(self) -> Float[Tensor, "n dim"]:
        """Of each trajectory."""
        return self.rates.mean(0)

    @property
    def running(self) -> Float[Tensor, "windows n dim"]:
        """Exponents by the end of each window: how they converge."""
        count = torch.arange(1, len(self.rates) + 1, device=self.rates.device)
        return self.rates.cumsum(0) / count[:, None, None]

    @property
    def errors(self) -> Float[Tensor, " n"]:
        """Standard error of each trajectory's largest exponent, from the spread of its blocks."""
        blocks = self.rates[..., 0].tensor_split(min(BLOCKS, len(self.rates)))
        return torch.stack([block.mean(0) for block in blocks]).std(0) / len(blocks) ** 0.5

    def split(self, n: int) -> list["Growth"]:
        """``n`` trajectories each, in their order."""
        parts = zip(self.rates.split(n, dim=1), self.speed.split(n), strict=True)
        return [replace(self, rates=rates, speed=speed) for rates, speed in parts]

    @property
    def resolution(self) -> float:
        """What trajectories read that part in proportion to time, as in a shear: no chaos."""
        start = max(self.transient, self.window)
        return log((start + self.duration) / start) / self.duration


def growth(
    velocity: Velocity,
    x0: Float[Tensor, "n dim"],
    duration: float,
    transient: float,
    dt: float = 0.05,
    radius: float = inf,
) -> Growth:
    """Growth of tangent frames along the trajectories from ``x0`` that stay within ``radius``.

    States and the derivatives of steps ``dt`` have the type of ``x0``, frames are float64.
    ``transient``, in which both settle, and ``duration`` are rounded up to whole windows of
    ``STEPS``. Raises ``InputError`` for a field without a Jacobian.
    """
    jacobian(velocity, x0)  # in a step, the identity would hide that there is none
    window = STEPS * dt
    settling, counted = (ceil(time / window - 1e-6) for time in (transient, duration))
    states = [x0]
    for _ in range(STEPS * (settling + counted)):
        states.append(rk4_step(velocity, states[-1], dt))
    path = torch.stack(states)
    stayed = within_radius(path.flatten(0, 1), radius).view(path.shape[:2]).all(0)
    rates = x0.new_full((counted, *x0.shape), torch.nan, dtype=torch.double)
    speed = x0.new_full((len(x0),), torch.nan, dtype=torch.double)
    if stayed.any():
        # those that left are followed too: a field may tell its states apart by their place
        rates[:, stayed] = _logarithms(velocity, path, dt)[settling:, stayed] / window
        square = [velocity(x).double().square().mean(1) for x in path[settling * STEPS :: STEPS]]
        speed[stayed] = torch.stack(square).mean(0)[stayed]
    return Growth(rates, speed, window, settling * window)


def rk4_step(
    velocity: Velocity, x: Float[Tensor, "batch dim"], dt: float
) -> Float[Tensor, "batch dim"]:
    """Where the classical method of order four takes states in ``dt``; can be differentiated."""
    k1 = velocity(x)
    k2 = velocity(x + dt / 2 * k1)
    k3 = velocity(x + dt / 2 * k2)
    k4 = velocity(x + dt * k3)
    return x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def _logarithms(
    velocity: Velocity, path: Float[Tensor, "times n dim"], dt: float
) -> Float[Tensor, "windows n dim"]:
    """Logarithms of the diagonals of ``R``, window by window."""
    n, dim = path.shape[1:]
    windows, some = (len(path) - 1) // STEPS, max(1, AT_ONCE // (STEPS * n))
    # in no special direction: the first axis may be one that does not grow
    draw = torch.randn(dim, dim, generator=generator(0, Draws.FRAME), dtype=torch.double)
    frame = torch.linalg.qr(draw).Q.to(path.device).expand(n, dim, dim)
    found = []
    for first in range(0, windows, some):
        part = path[first * STEPS : min(windows, first + some) * STEPS + 1]
        for propagator in _propagators(velocity, part, dt):
            frame, r = torch.linalg.qr(propagator @ frame)
            found.append(r.diagonal(dim1=1, dim2=2).abs().log())
    return torch.stack(found)


def _propagators(
    velocity: Velocity, path: Float[Tensor, "times n dim"], dt: float
) -> Float[Tensor, "windows n dim dim"]:
    """Linear maps of the tangent vectors over each window."""

    def step(x: Tensor) -> Tensor:
        return rk4_step(velocity, x, dt)

    maps = jacobian(step, path[:-1].flatten(0, 1)).double()
    steps = maps.view(-1, STEPS, *path.shape[1:], path.shape[2])
    total = steps[:, 0]
    for one in steps.unbind(1)[1:]:
        total = one @ total
    return total
