"""The chaotic systems of the package dysts (Gilpin 2021, arXiv:2110.05266), in raw units."""

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
"""Periods that a run goes on before its first state is kept."""


KICK_SIZES = (0.01, 0.001, 0.0)
"""Share of a coordinate, or of its standard deviation if that is less, that runs are moved by where
they leave the orbit: else they would follow it, and be no runs of their own. The smaller, at last
none, are for attractors so near the edge of their basin that some runs would leave."""


STEP_SIZES = [0.01 / 2**k for k in range(10)]
"""Steps to choose from, in periods."""


STEP_TOLERANCE = 1e-4
"""Root mean square error of a quarter of a period, in standard deviations of a coordinate."""


DERIVATIVE_STEP = 1e-5
"""Step of the derivative, in standard deviations of a coordinate; errors are of its square."""


class Dysts:
    """A system of dysts that is autonomous, bounded and without delay, by its ``name`` there.

    ``shape`` of a state, ``period`` in units of time, ``exponent`` the estimate that dysts gives of
    the largest Lyapunov exponent, per unit of time, or None. Raises ``InputError`` with the reason
    for a name that is not known and for a system that cannot be used.
    """

    def __init__(self, name: str) -> None:
        self._system = _found(name)
        self.name, self.period = name, float(self._system.period)
        self.shape = (int(self._system.dimension),)
        self.exponent: float | None = self._system.maximum_lyapunov_estimated
        self._mean, self._std = np.array(self._system.mean), np.array(self._system.std)
        self._axis = self._state_axis()

    def velocity(self, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Right-hand side at raw states, in raw units per unit of time, float64.

        Its forward-mode derivative is a central difference.
        """
        return _RightHandSide.apply(x, self)

    def values(self, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """The same without derivatives."""
        rows = self._rhs(x.detach().cpu().double().numpy(), self._axis)
        return torch.from_numpy(rows).to(x.device)

    def slopes(
        self, x: Float[Tensor, "batch dim"], direction: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, "batch dim"]:
        """Central difference of the right-hand side along a direction at each state.

        The step is ``DERIVATIVE_STEP`` of the standard deviation of the coordinate that changes most.
        """
        sizes = (direction / torch.from_numpy(self._std).to(direction)).abs().amax(1, keepdim=True)
        h = DERIVATIVE_STEP / torch.where(sizes > 0, sizes, 1).double()
        x, direction = x.double(), direction.double()
        return (self.velocity(x + h * direction) - self.velocity(x - h * direction)) / (2 * h)

    def sample(self, n: int, seed: int, runs: int = 9000, transient: float = 100.0) -> Sample:
        """``n`` raw states, float64, of the law that the orbit of the stored start explores.

        That orbit is followed for ``transient`` periods; in as many again it is left at random
        times, with a small kick, by ``runs`` that go on side by side (RK4, the step such that
        halving it changes little); after ``SETTLING_PERIODS`` periods a state of each is kept at random
        times, a period apart on average. Raises ``InputError`` if an orbit leaves or comes to rest.
        """
        runs, draw = min(runs, n), generator(seed, Draws.SNAPSHOTS)
        if not transient > 0:
            raise InputError(f"transient={transient} found; expected a number of periods > 0")
        kept = -(-n // runs)
        u = torch.rand(runs + kept, generator=draw, dtype=torch.float64)
        leaves, spacing = u.split([runs, kept])
        starts = self._orbit(transient * (1 + leaves.sort().values))
        sizes = (starts + torch.from_numpy(self._mean / self._std)).abs().clamp(max=1)
        kicks = torch.randn(starts.shape, generator=draw, dtype=torch.float64)
        times = torch.cat([torch.zeros(1), SETTLING_PERIODS + (0.5 + spacing).cumsum(0)])
        for kick in KICK_SIZES:
            left = starts + kick * sizes * kicks  # what is not negative stays so
            path = RK4(self._step(left))(self._scaled_velocity, left, times)[1:]
            if path.isfinite().all():
                break
        else:
            raise self._refusal("some of its orbits run to infinity")
        states = self._mean + self._std * path.flatten(0, 1).numpy()
        return Sample(torch.from_numpy(states)[:n], torch.arange(runs).repeat(kept)[:n])

    # scaled: coordinates in standard deviations from the mean, time in periods

    def _scaled_velocity(self, z: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        return torch.from_numpy(self._scaled_rhs(z.numpy()))

    @np.errstate(all="ignore")  # states on their way to infinity are refused later
    def _scaled_rhs(self, z: np.ndarray) -> np.ndarray:
        return self._rhs(self._mean + self._std * z, self._axis) * (self.period / self._std)

    def _orbit(self, times: Float[Tensor, " times"]) -> Float[Tensor, "times dim"]:
        """States of the orbit of the stored start."""
        solution = solve_ivp(
            lambda _, z: self._scaled_rhs(z[None])[0],
            (0, times[-1].item()),
            (self._system.ic - self._mean) / self._std,
            method="LSODA",
            t_eval=times.numpy(),
            events=_left,
            rtol=1e-6,
            atol=1e-6,
        )
        if solution.status or not np.isfinite(solution.y).all():
            raise self._refusal("its orbit runs to infinity")
        states = torch.from_numpy(solution.y.T)
        if self._scaled_velocity(states).norm(dim=1).max() < 0.1:
            raise self._refusal("its orbit comes to rest")
        return states

    def _step(self, starts: Float[Tensor, "batch dim"]) -> float:
        """The longest of ``STEP_SIZES`` that meets ``STEP_TOLERANCE`` from ``starts``."""
        quarter = torch.tensor([0.0, 0.25])
        ends = ((dt, RK4(dt)(self._scaled_velocity, starts, quarter)[1]) for dt in STEP_SIZES)
        for (dt, coarse), (_, fine) in pairwise(ends):
            if (coarse - fine).square().mean().sqrt() < STEP_TOLERANCE:
                return dt
        raise self._refusal(f"{round(1 / STEP_SIZES[-1])} steps a period do not resolve its orbits")

    # the right-hand side of dysts

    @np.errstate(all="ignore")
    def _rhs(self, x: np.ndarray, axis: int, time: float = 0.0) -> np.ndarray:
        columns = self._system.rhs(x if axis else x.T, time)
        out = np.empty(x.shape[::-1])
        for row, values in zip(out, columns, strict=True):  # some are constants
            row[:] = values
        return out.T

    def _state_axis(self) -> int:
        """Which axis of a batch holds the coordinates: most systems want the last, some the first.

        Refuses a system for which neither gives what single states do, or that depends on time.
        """
        x = self._system.ic * (1 + 0.01 * np.arange(self.shape[0] + 2)[:, None])
        try:
            expected = np.array([self._system.rhs(row, 0.0) for row in x], dtype=float)
            later = np.array([self._system.rhs(row, 1.7) for row in x], dtype=float)
        except (TypeError, ValueError) as error:
            raise self._refusal(f"dysts cannot evaluate it ({error})") from error
        if not np.allclose(expected, later, rtol=1e-12):
            raise self._refusal("its right-hand side depends on time")
        for axis in (1, 0):
            try:
                if np.allclose(self._rhs(x, axis), expected, rtol=1e-10):
                    return axis
            except (TypeError, ValueError, IndexError):
                continue
        raise self._refusal("its right-hand side cannot be evaluated for many states at once")

    def _refusal(self, reason: str) -> InputError:
        return _refusal(self.name, reason)


class _RightHandSide(torch.autograd.Function):
    """The right-hand side of a system of dysts: numpy evaluates it, torch differentiates it."""

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


def _left(_: float, z: np.ndarray) -> float:
    """Changes its sign where an orbit leaves; the integration then ends."""
    return 1e3 - np.abs(z).max()


_left.terminal = True  # type: ignore[attr-defined]


def names(dim: int | None = None) -> list[str]:
    """Systems that ``Dysts`` takes, of dimension ``dim`` or any; nothing is integrated."""
    taken = []
    for name in _catalogue():
        try:
            system = Dysts(name)
        except InputError:
            continue
        if dim in (None, *system.shape):
            taken.append(name)
    return taken


def _found(name: str) -> Any:
    """The system of dysts with that name, refused for what can be read off it."""
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
    """Imported when used, which takes seconds, and not compiled: what is takes no arrays."""
    from numba import config

    compiled, config.DISABLE_JIT = config.DISABLE_JIT, True  # type: ignore[attr-defined]
    try:
        from dysts import flows
    finally:
        config.DISABLE_JIT = compiled  # type: ignore[attr-defined]
    return flows


def _refusal(name: str, reason: str) -> InputError:
    return InputError(f"data.system={name}: {reason}; expected a bounded autonomous system")
