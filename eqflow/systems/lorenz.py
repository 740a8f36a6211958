"""The Lorenz-63 system (Lorenz 1963), in raw units."""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.runtime import Draws, generator
from eqflow.simulate import RK4
from eqflow.systems.runs import Sample


class Lorenz63:
    """Lorenz-63 system ``x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z``.

    At the default parameters its published Lyapunov spectrum is 0.906, 0, -14.57.
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

        Args:
            n: Number of states.
            seed: Seed of the initial states.
            runs: Number of random initial states, which are integrated together by RK4.
            transient: Units of time that are discarded. States leave the unstable equilibria as
                ``exp(-0.19 t)``: after 20 units about one in a thousand is still there.
            every: Units of time between two states of a run; one is about a Lyapunov time.
            dt: Step of RK4.
        """
        runs = min(runs, n)
        draw = generator(seed, Draws.SNAPSHOTS)
        x0 = torch.randn(runs, 3, dtype=torch.float64, generator=draw)
        x0 = x0 * torch.tensor([8.0, 9.0, 8.5]) + torch.tensor([0.0, 0.0, 23.5])
        per_run = -(-n // runs)
        times = torch.cat([torch.zeros(1), transient + every * torch.arange(per_run)]).double()
        states = RK4(dt)(self.velocity, x0, times)[1:].flatten(0, 1)[:n]
        return Sample(states, torch.arange(runs).repeat(per_run)[:n])
