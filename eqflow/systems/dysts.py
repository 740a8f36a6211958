"""Chaotic systems of the package dysts (Gilpin 2021, arXiv:2110.05266), in raw units."""

from difflib import get_close_matches
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.integrate import solve_ivp
from torch import Tensor

from eqflow.errors import InputError
from eqflow.runtime import Draws, generator
from eqflow.simulate import RK4
from eqflow.systems.runs import Sample

SETTLING_PERIODS = 20.0
"""Periods that a run takes between leaving the orbit and its first state that is kept."""


KICK_SIZES = (0.01, 0.001, 0.0)
"""Relative displacements of runs where they leave the orbit, tried in turn until no run diverges.

They are in units of a coordinate, or of its standard deviation if that is less. Without a
displacement a run would follow the orbit and be correlated with others; some attractors are so near
the edge of their basin of attraction that only a smaller one, or none, keeps all runs on them."""


STEP_SIZES = [0.01 / 2**k for k in range(10)]
"""Steps of RK4 to choose from, in periods."""


STEP_TOLERANCE = 1e-4
"""Root mean square error over a quarter of a period, in standard deviations of a coordinate."""


DERIVATIVE_STEP = 1e-5
"""Step of central differences, in standard deviations of a coordinate."""


class Dysts:
    """System of dysts that is autonomous, bounded and without delay.

    Args:
        name: Name of the system in dysts.

    Attributes:
        shape: Shape of a state.
        period: Dominant period, in units of time.
        exponent: Estimate by dysts of the largest Lyapunov exponent, per unit of time, or None.

    Raises ``InputError`` with the reason for an unknown name and for a system that cannot be used.
    """

    def __init__(self, name: str) -> None:
        self._system = _checked_system(name)
        self.name, self.period = name, float(self._system.period)
        self.shape = (int(self._system.dimension),)
        self.exponent: float | None = self._system.maximum_lyapunov_estimated
        self._mean, self._std = np.array(self._system.mean), np.array(self._system.std)
        self._axis = self._state_axis()

    def velocity(self, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Right-hand side at raw states, in raw units per unit of time, float64.

        It can be differentiated in forward mode, by central differences.
        """
        return _RightHandSide.apply(x, self)  # type: ignore[no-untyped-call]

    def values(self, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Right-hand side without derivatives."""
        rows = self._rhs(x.detach().cpu().double().numpy(), self._axis)
        return torch.from_numpy(rows).to(x.device)

    def slopes(
        self, x: Float[Tensor, "batch dim"], direction: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, "batch dim"]:
        """Product of the Jacobian at each state with a direction, by a central difference.

        The step is ``DERIVATIVE_STEP`` standard deviations of the coordinate that changes most.
        """
        sizes = (direction / torch.from_numpy(self._std).to(direction)).abs().amax(1, keepdim=True)
        h = DERIVATIVE_STEP / torch.where(sizes > 0, sizes, 1).double()
        x, direction = x.double(), direction.double()
        return (self.velocity(x + h * direction) - self.velocity(x - h * direction)) / (2 * h)

    def sample(self, n: int, seed: int, runs: int = 9000, transient: float = 100.0) -> Sample:
        """``n`` raw states, float64, of the stationary distribution on the attractor.

        One orbit starts at the initial condition of dysts, and its first ``transient`` periods are
        discarded. During as many periods more, ``runs`` branch off at random times with a small
        displacement and are integrated together (RK4, with a step that ``STEP_TOLERANCE`` selects).
        After ``SETTLING_PERIODS`` a state of each run is kept at random times, a period apart on
        average. Raises ``InputError`` if the orbit or a run diverges, or the orbit comes to rest.
        """
        runs, draw = min(runs, n), generator(seed, Draws.SNAPSHOTS)
        if not transient > 0:
            raise InputError(f"transient={transient} found; expected a number of periods > 0")
        per_run = -(-n // runs)
        u = torch.rand(runs + per_run, generator=draw, dtype=torch.float64)
        branchings, spacing = u.split([runs, per_run])
        starts = self._orbit(transient * (1 + branchings.sort().values))
        sizes = (starts + torch.from_numpy(self._mean / self._std)).abs().clamp(max=1)
        kicks = torch.randn(starts.shape, generator=draw, dtype=torch.float64)
        times = torch.cat([torch.zeros(1), SETTLING_PERIODS + (0.5 + spacing).cumsum(0)])
        for kick in KICK_SIZES:
            moved = starts + kick * sizes * kicks  # relative, so that positive coordinates stay so
            path = RK4(self._step(moved))(self._scaled_velocity, moved, times)[1:]
            if path.isfinite().all():
                break
        else:
            raise _refusal(self.name, "some of its orbits run to infinity")
        states = self._mean + self._std * path.flatten(0, 1).numpy()
        return Sample(torch.from_numpy(states)[:n], torch.arange(runs).repeat(per_run)[:n])

    # scaled: coordinates as standard deviations from the mean, time in periods

    def _scaled_velocity(self, z: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        return torch.from_numpy(self._scaled_rhs(z.numpy()))

    @np.errstate(all="ignore")  # states that diverge are refused later
    def _scaled_rhs(self, z: np.ndarray) -> np.ndarray:
        return self._rhs(self._mean + self._std * z, self._axis) * (self.period / self._std)

    def _orbit(self, times: Float[Tensor, " times"]) -> Float[Tensor, "times dim"]:
        """Scaled states, at ``times``, of the orbit from the initial condition of dysts."""
        solution = solve_ivp(
            lambda _, z: self._scaled_rhs(z[None])[0],
            (0, times[-1].item()),
            (self._system.ic - self._mean) / self._std,
            method="LSODA",
            t_eval=times.numpy(),
            events=_divergence,
            rtol=1e-6,
            atol=1e-6,
        )
        if solution.status or not np.isfinite(solution.y).all():
            raise _refusal(self.name, "its orbit runs to infinity")
        states = torch.from_numpy(solution.y.T)
        if self._scaled_velocity(states).norm(dim=1).max() < 0.1:
            raise _refusal(self.name, "its orbit comes to rest")
        return states

    def _step(self, starts: Float[Tensor, "batch dim"]) -> float:
        """The longest of ``STEP_SIZES`` that meets ``STEP_TOLERANCE`` from ``starts``."""
        quarter = torch.tensor([0.0, 0.25])
        ends = ((dt, RK4(dt)(self._scaled_velocity, starts, quarter)[1]) for dt in STEP_SIZES)
        for (dt, coarse), (_, fine) in pairwise(ends):
            if (coarse - fine).square().mean().sqrt() < STEP_TOLERANCE:
                return dt
        raise _refusal(
            self.name, f"{round(1 / STEP_SIZES[-1])} steps a period do not resolve its orbits"
        )

    # the right-hand side of dysts

    @np.errstate(all="ignore")
    def _rhs(self, x: np.ndarray, axis: int, time: float = 0.0) -> np.ndarray:
        columns = self._system.rhs(x if axis else x.T, time)
        out = np.empty(x.shape[::-1])
        for row, values in zip(out, columns, strict=True):  # some are constants
            row[:] = values
        return out.T

    def _state_axis(self) -> int:
        """Axis of a batch along which the right-hand side of dysts expects the coordinates.

        It is 1 for most systems and 0 for some. Raises ``InputError`` for a system that reproduces
        its values at single states with neither, or that depends on time.
        """
        x = self._system.ic * (1 + 0.01 * np.arange(self.shape[0] + 2)[:, None])
        try:
            expected = np.array([self._system.rhs(row, 0.0) for row in x], dtype=float)
            later = np.array([self._system.rhs(row, 1.7) for row in x], dtype=float)
        except (TypeError, ValueError) as error:
            raise _refusal(self.name, f"dysts cannot evaluate it ({error})") from error
        if not np.allclose(expected, later, rtol=1e-12):
            raise _refusal(self.name, "its right-hand side depends on time")
        for axis in (1, 0):
            try:
                if np.allclose(self._rhs(x, axis), expected, rtol=1e-10):
                    return axis
            except (TypeError, ValueError, IndexError):
                continue
        raise _refusal(self.name, "its right-hand side cannot be evaluated for many states at once")


class _RightHandSide(torch.autograd.Function):
    """Right-hand side of a system of dysts, evaluated by numpy, as a differentiable function."""

    @staticmethod
    def forward(x: Tensor, system: Dysts) -> Tensor:
        return system.values(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Dysts], output: Tensor) -> None:
        x, ctx.system = inputs
        ctx.save_for_forward(x)

    @staticmethod
    def jvp(ctx: Any, direction: Tensor, _: None) -> Tensor:
        (x,) = ctx.saved_tensors
        return ctx.system.slopes(x, direction)

    @staticmethod
    def vmap(_: Any, in_dims: tuple[int, None], x: Tensor, system: Dysts) -> tuple[Tensor, int]:
        many = x.movedim(in_dims[0], 0)
        return system.velocity(many.flatten(0, 1)).view(many.shape), 0


def _divergence(_: float, z: np.ndarray) -> float:
    """Event that ends the integration of an orbit: it changes its sign where the orbit diverges."""
    return 1e3 - np.abs(z).max()


_divergence.terminal = True  # type: ignore[attr-defined]


def names(dim: int | None = None) -> list[str]:
    """Names of the systems that :class:`Dysts` accepts, of dimension ``dim`` or of any."""
    accepted = []
    for name in _catalogue():
        try:
            system = Dysts(name)
        except InputError:
            continue
        if dim in (None, *system.shape):
            accepted.append(name)
    return accepted


def _checked_system(name: str) -> Any:
    """The system of dysts with that name; raises ``InputError`` by what dysts says about it."""
    known = _catalogue()
    if name not in known:
        close = ", ".join(get_close_matches(name, known, cutoff=0.5)) or "a system of dysts"
        raise InputError(f"data.system={name}: no such system in dysts; expected {close}")
    system = getattr(_flows(), name)()
    reasons = {
        "it has a delay": system.delay,
        "it is not autonomous": system.nonautonomous,
        "it has a coordinate that is not bounded": system.unbounded_indices
        or hasattr(system, "_postprocessing"),
    }
    for reason, holds in reasons.items():
        if holds:
            raise _refusal(name, reason)
    return system


def _catalogue() -> list[str]:
    flows = _flows()
    return sorted(
        name
        for name, value in vars(flows).items()
        if isinstance(value, type)
        and issubclass(value, flows.DynSys | flows.DynSysDelay)
        and value.__module__ == flows.__name__
    )


def _flows() -> ModuleType:
    """Module of all systems, imported at first use (seconds); uncompiled it takes arrays."""
    from numba import config

    compiled, config.DISABLE_JIT = config.DISABLE_JIT, True  # type: ignore[attr-defined]
    try:
        from dysts import flows
    finally:
        config.DISABLE_JIT = compiled  # type: ignore[attr-defined]
    return flows


def _refusal(name: str, reason: str) -> InputError:
    return InputError(f"data.system={name}: {reason}; expected a bounded autonomous system")
