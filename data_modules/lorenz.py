"""Data set ``lorenz``: states on the Lorenz-63 attractor."""

from typing import Any

from data_modules.base import SyntheticModule
from eqflow.systems import Lorenz63, Sample


class Lorenz(SyntheticModule):
    """Snapshots of Lorenz-63, about a Lyapunov time apart, with its true velocity.

    Takes the number of training states ``n`` and the arguments of :class:`SyntheticModule`.
    """

    shape = (3,)

    def __init__(self, n: int = 50_000, **options: Any) -> None:
        self.system = Lorenz63()
        self.velocity = self.system.velocity
        super().__init__(n, **options)

    def sample(self, n: int) -> Sample:
        return self.system.sample(n, self.seed)
