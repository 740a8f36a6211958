"""States of the chaotic systems of dysts, many runs with about a period between states."""

from jaxtyping import Float
from torch import Tensor

from data_modules.base import SyntheticModule
from eqflow import systems


class Dysts(SyntheticModule):
    """Snapshots of the ``system`` of dysts with that name, with its true velocity.

    The first ``transient`` periods are discarded; a slow system needs more of them.
    """

    def __init__(
        self,
        system: str = "Rossler",
        n: int = 24_000,
        val: int = 1000,
        test: int = 2000,
        seed: int = 0,
        transient: float = 100.0,
        **loader: int,
    ):
        super().__init__(n, val, test, seed, **loader)
        self.system, self.transient = systems.Dysts(system), transient
        self.shape, self.velocity = self.system.shape, self.system.velocity

    def sample(self, n: int) -> Float[Tensor, "n dim"]:
        return self.system.sample(n, self.seed, transient=self.transient).states
