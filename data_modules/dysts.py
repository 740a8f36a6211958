"""States of the chaotic systems of dysts, many runs with about a period between states."""

import logging

from torch import Tensor

from data_modules.base import SyntheticModule
from eqflow import systems
from eqflow.data import Standardiser
from eqflow.stationarity import functions_for, hotelling

log = logging.getLogger("eqflow")

STATIONARITY_LEVEL = 1e-3
"""A sample that is less probable than this under the true law is drawn again."""


class Dysts(SyntheticModule):
    """Snapshots of the ``system`` of dysts with that name, with its true velocity.

    The first ``transient`` periods are discarded, up to four times as many where the true velocity
    then fails the test of stationarity; if it always does, the sample that fails least is taken.
    """

    def __init__(
        self,
        system: str = "Rossler",
        n: int = 24_000,
        val: int = 1000,
        test: int = 2000,
        seed: int = 0,
        transient: float = 100.0,
        velocities: int | None = None,
        **loader: int,
    ):
        self.system, self.transient = systems.Dysts(system), transient
        self.shape, self.velocity = self.system.shape, self.system.velocity
        super().__init__(n, val, test, seed, velocities, **loader)

    def sample(self, n: int) -> systems.Sample:
        tried: list[tuple[float, systems.Sample]] = []
        for patience in (1, 2, 4):
            sample = self.system.sample(n, self.seed, transient=patience * self.transient)
            tried.append((self._p_value(sample.states, sample.groups), sample))
            if tried[-1][0] > STATIONARITY_LEVEL:
                return sample
        log.warning(
            "data.system=%s: the true velocity fails the test of stationarity on the sample; "
            "a longer data.transient may help",
            self.system.name,
        )
        return max(tried, key=lambda pair: pair[0])[1]

    def _p_value(self, states: Tensor, groups: Tensor | None) -> float:
        """Of the true velocity on a sample."""
        units = Standardiser.of(states)
        z, v = units.standard(states), self.system.velocity(states) / units.std
        functions = functions_for(z, self.seed)
        return hotelling(v, z, functions, groups).p_value
