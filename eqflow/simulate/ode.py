"""Integration of ``dx/dt = v(x)`` with fixed steps, through torchdiffeq."""

from jaxtyping import Float
from torch import Tensor
from torchdiffeq import odeint

from eqflow.simulate.base import Integrator, Noise, Velocity


class RK4(Integrator):
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
        return odeint(
            lambda _, x: velocity(x), x0, times.to(x0), method="rk4", options={"step_size": self.dt}
        )
