"""States on the Lorenz-63 attractor, many runs with about a Lyapunov time between states."""

from data_modules.base import SyntheticModule
from eqflow.systems import Lorenz63, Sample


class Lorenz(SyntheticModule):
    """Snapshots of Lorenz-63, with its true velocity; the transient is discarded."""

    shape = (3,)

    def __init__(
        self,
        n: int = 50_000,
        val: int = 1000,
        test: int = 2000,
        seed: int = 0,
        velocities: int | None = None,
        **loader: int,
    ):
        self.system = Lorenz63()
        self.velocity = self.system.velocity
        super().__init__(n, val, test, seed, velocities, **loader)

    def sample(self, n: int) -> Sample:
        return self.system.sample(n, self.seed)
