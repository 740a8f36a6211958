"""Lyapunov exponents of a velocity field by the method of Benettin et al. (1980, Meccanica 15).

A frame ``Q`` of tangent vectors moves with a trajectory, ``dQ/dt = J(x) Q``, and is made
orthonormal in successive windows, ``Q R = Q(t)``. The means over time of ``log diag R`` are the
exponents, largest first.

The linear map of a step is the derivative of the Runge-Kutta step of the states, taken for many
steps at once. So the exponents are those of the trajectories as they are simulated; Jacobians
interpolated between states instead read growth where orbits are fast and closed.
"""

from dataclasses import dataclass, replace
from math import ceil, inf, log

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from eqflow.runtime import Draws, generator
from eqflow.simulate import within_radius
from eqflow.simulate.ode import rk4_step
from eqflow.stationarity import Velocity, jacobian

WINDOW_STEPS = 10
"""Steps of a window, after which frames are made orthonormal."""


STEPS_AT_ONCE = 4096
"""Steps whose derivatives are taken at once; more if a single window has more."""


ERROR_BLOCKS = 4
"""Successive blocks of a trajectory whose spread gives the error of its largest exponent: few, for
the turning of the frame makes short blocks vary more than the whole."""


@dataclass(frozen=True)
class Growth:
    """Growth rates of tangent frames along trajectories, in successive windows of time.

    Args:
        rates: ``log diag R`` over the length of the window, float64, per unit of time; NaN for
            trajectories that escaped.
        speed: mean square of a coordinate of the velocity along each trajectory.
        states: states after the transient, ``dt`` apart.
        window: length of a window of time.
        transient: time before the first window.
    """

    rates: Float[Tensor, "windows n dim"]
    speed: Float[Tensor, " n"]
    states: Float[Tensor, "steps n dim"]
    window: float
    transient: float

    @property
    def duration(self) -> float:
        """Time over which the rates are taken."""
        return len(self.rates) * self.window

    @property
    def dt(self) -> float:
        """Time between two states."""
        return self.window / WINDOW_STEPS

    @property
    def stayed(self) -> Bool[Tensor, " n"]:
        """Mask of the trajectories that did not escape."""
        return self.rates.isfinite().all(2).all(0)

    @property
    def exponents(self) -> Float[Tensor, "n dim"]:
        """Lyapunov exponents of each trajectory, largest first."""
        return self.rates.mean(0)

    @property
    def running(self) -> Float[Tensor, "windows n dim"]:
        """Exponents by the end of each window, which show how they converge."""
        count = torch.arange(1, len(self.rates) + 1, device=self.rates.device)
        return self.rates.cumsum(0) / count[:, None, None]

    @property
    def errors(self) -> Float[Tensor, " n"]:
        """Standard error of the largest exponent of each trajectory, from successive blocks."""
        blocks = self.rates[..., 0].tensor_split(min(ERROR_BLOCKS, len(self.rates)))
        return torch.stack([block.mean(0) for block in blocks]).std(0) / len(blocks) ** 0.5

    def split(self, n: int) -> list["Growth"]:
        """The growth of each ``n`` successive trajectories."""
        rates, states = (values.split(n, dim=1) for values in (self.rates, self.states))
        parts = zip(rates, self.speed.split(n), states, strict=True)
        return [replace(self, rates=r, speed=v, states=x) for r, v, x in parts]

    @property
    def resolution(self) -> float:
        """The exponent read where neighbours part in proportion to time, as in a shear.

        A shear is not chaotic, so exponents up to this value are no sign of chaos.
        """
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
    """Growth of tangent frames along trajectories, for Lyapunov exponents.

    Args:
        velocity: the field; states and derivatives of steps have the type of ``x0``.
        x0: initial states.
        duration: time over which rates are taken, rounded up to whole windows.
        transient: time before it, in which states and frames settle, rounded up likewise.
        dt: length of a Runge-Kutta step.
        radius: distance from the origin beyond which a trajectory has escaped.

    Raises:
        InputError: for a field without a Jacobian.
    """
    jacobian(velocity, x0)  # in a step, the identity would hide that there is none
    window = WINDOW_STEPS * dt
    settling, counted = (ceil(time / window - 1e-6) for time in (transient, duration))
    states = [x0]
    for _ in range(WINDOW_STEPS * (settling + counted)):
        states.append(rk4_step(velocity, states[-1], dt))
    path = torch.stack(states)
    after = path[settling * WINDOW_STEPS :]
    stayed = within_radius(path.flatten(0, 1), radius).view(path.shape[:2]).all(0)
    rates = x0.new_full((counted, *x0.shape), torch.nan, dtype=torch.double)
    speed = x0.new_full((len(x0),), torch.nan, dtype=torch.double)
    if stayed.any():
        # trajectories that escaped are followed too: a field may tell states apart by their place
        rates[:, stayed] = _logarithms(velocity, path[:-1], dt)[settling:, stayed] / window
        square = [velocity(x).double().square().mean(1) for x in after[::WINDOW_STEPS]]
        speed[stayed] = torch.stack(square).mean(0)[stayed]
    return Growth(rates, speed, after, window, settling * window)


def _logarithms(
    velocity: Velocity, starts: Float[Tensor, "steps n dim"], dt: float
) -> Float[Tensor, "windows n dim"]:
    """``log diag R`` of every window, from the states at which steps start."""
    n, dim = starts.shape[1:]
    # in no special direction: the first axis may be one that does not grow
    draw = torch.randn(dim, dim, generator=generator(0, Draws.FRAME), dtype=torch.double)
    frame = torch.linalg.qr(draw).Q.to(starts.device).expand(n, dim, dim)
    logarithms = []
    for part in starts.split(WINDOW_STEPS * max(1, STEPS_AT_ONCE // (WINDOW_STEPS * n))):
        for propagator in _propagators(velocity, part, dt):
            frame, r = torch.linalg.qr(propagator @ frame)
            logarithms.append(r.diagonal(dim1=1, dim2=2).abs().log())
    return torch.stack(logarithms)


def _propagators(
    velocity: Velocity, starts: Float[Tensor, "steps n dim"], dt: float
) -> Float[Tensor, "windows n dim dim"]:
    """Linear maps of the tangent vectors over each window."""
    maps = jacobian(lambda x: rk4_step(velocity, x, dt), starts.flatten(0, 1)).double()
    steps = maps.view(-1, WINDOW_STEPS, *starts.shape[1:], starts.shape[2])
    total = steps[:, 0]
    for step in steps.unbind(1)[1:]:
        total = step @ total
    return total
