"""Integration of the SDE ``dx = (v + eta s) dt + sqrt(2 eta) dW`` with fixed steps.

The stationary distribution is the same for every ``eta >= 0``; score and noise together pull
states back to the data (method section 7). The noise is additive, so that both schemes have strong
order 1; stochastic Heun has weak order 2, Euler-Maruyama weak order 1.
"""

from abc import abstractmethod
from itertools import count, islice

from torch import Tensor

from eqflow.errors import InputError
from eqflow.simulate.base import Noise, Stepper, Stepwise, Velocity


class _SDE(Stepwise):
    stochastic = True

    def __init__(self, dt: float = 0.05, eta: float = 0.1) -> None:
        super().__init__(dt, eta)

    @abstractmethod
    def increment(self, drift: Velocity, x: Tensor, dt: float, dw: Tensor) -> Tensor:
        """Change of ``x`` over a step of ``dt`` with the diffusion ``dw ~ N(0, 2 eta dt I)``."""

    def stepper(self, velocity: Velocity, score: Velocity | None, noise: Noise | None) -> Stepper:
        if score is None or noise is None:
            raise InputError(
                f"{type(self).__name__} integrates an SDE; expected a score and a noise, found none"
            )

        # fields made of the score take it as an argument: it costs most of their evaluation
        given = getattr(velocity, "given", lambda x, _: velocity(x))

        def drift(x: Tensor) -> Tensor:
            s = score(x)
            return given(x, s) + self.eta * s

        draws = map(noise, count())

        def advance(x: Tensor, dt: float, steps: int) -> Tensor:
            for dw in islice(draws, steps):
                x = x + self.increment(drift, x, dt, (2 * self.eta * dt) ** 0.5 * dw)
            return x

        return advance


class EulerMaruyama(_SDE):
    """Euler-Maruyama method, ``x + f(x) dt + dw`` with the drift ``f = v + eta s``."""

    def increment(self, drift: Velocity, x: Tensor, dt: float, dw: Tensor) -> Tensor:
        return drift(x) * dt + dw


class HeunSDE(_SDE):
    """Stochastic Heun method, ``x + (f(x) + f(x + f(x) dt + dw)) dt / 2 + dw``."""

    def increment(self, drift: Velocity, x: Tensor, dt: float, dw: Tensor) -> Tensor:
        f = drift(x)
        return (f + drift(x + f * dt + dw)) / 2 * dt + dw
