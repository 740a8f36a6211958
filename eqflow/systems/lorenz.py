"""The Lorenz-63 system (Lorenz 1963), in raw units."""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.runtime import Draws, generator
from eqflow.simulate import RK4
from eqflow.systems.runs import Sample


class Lorenz63:
    """``x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z``.

    Published Lyapunov spectrum 0.906, 0, -14.57 at the default parameters.
    """

    shape = (3,)

    def __init__(self, sigma: float = 10.0, rho: float = 28.0, beta: float = 8 / 3) -> None:
        self.sigma, self.rho, self.beta = sigma, rho, beta

    def velocity(self, x: Float[Tensor, "batch 3"]) -> Float[Tensor, "batch 3"]:
        """Right-hand side at raw states, in raw units per unit of time."""
        x, y, z = x.unbind(-1)
        return torch.stack(
            [self.sigma * (y - x), x * (self.rho - z) - y, x * y - self.beta * z], dim=-1
        )

    def sample(
        self,
        n: int,
        seed: int,
        runs: int = 10_000,
        transient: float = 40.0,
        every: float = 1.0,
        dt: float = 0.01,
    ) -> Sample:
        """``n`` raw states on the attractor, float64.

        ``runs`` random initial states are integrated side by side (RK4, step ``dt``); the first
        ``transient`` time units are dropped, then a state is kept ``every`` unit, about one
        Lyapunov time. States near the unstable equilibria leave as ``exp(-0.19 t)``: with a
        ``transient`` of 20 about one in a thousand is still there.
        """
        runs = min(runs, n)
        draw = generator(seed, Draws.SNAPSHOTS)
        x0 = torch.randn(runs, 3, dtype=torch.float64, generator=draw)
        x0 = x0 * torch.tensor([8.0, 9.0, 8.5]) + torch.tensor([0.0, 0.0, 23.5])
        kept = -(-n // runs)
        times = torch.cat([torch.zeros(1), transient + every * torch.arange(kept)]).double()
        states = RK4(dt)(self.velocity, x0, times)[1:].flatten(0, 1)[:n]
        return Sample(states, torch.arange(runs).repeat(kept)[:n])
