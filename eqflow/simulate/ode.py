"""Integration of ``dx/dt = v(x)`` with fixed steps, through torchdiffeq."""

import torch
from jaxtyping import Float
from torch import Tensor
from torchdiffeq import odeint

from eqflow.simulate.base import FixedStep, Noise, Velocity


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
