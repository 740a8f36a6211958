"""Data set ``dysts``: states of a chaotic system of the package dysts (Gilpin 2021)."""

import logging
from typing import Any

from torch import Tensor

from data_modules.base import SyntheticModule
from eqflow import systems
from eqflow.data import Standardiser
from eqflow.stationarity import functions_for, hotelling

log = logging.getLogger("eqflow")

STATIONARITY_LEVEL = 1e-3
"""A sample on which the p-value of the true velocity is below this is drawn again."""


class Dysts(SyntheticModule):
    """Snapshots of a system of dysts, with its true velocity.

    A sample on which the true velocity fails the test of stationarity is not stationary: the
    transient is then doubled, at most twice. If the test always fails, a warning is logged and the
    sample with the largest p-value is taken.

    Args:
        system: Name of the system in dysts.
        n: Number of training states.
        transient: Periods that are discarded.
        options: Arguments of :class:`SyntheticModule`.
    """

    def __init__(
        self,
        system: str = "Rossler",
        n: int = 24_000,
        transient: float = 100.0,
        **options: Any,
    ) -> None:
        self.system, self.transient = systems.Dysts(system), transient
        self.shape, self.velocity = self.system.shape, self.system.velocity
        super().__init__(n, **options)

    def sample(self, n: int) -> systems.Sample:
        tried: list[tuple[float, systems.Sample]] = []
        for factor in (1, 2, 4):
            sample = self.system.sample(n, self.seed, transient=factor * self.transient)
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
        """P-value of the test of stationarity of the true velocity on a sample."""
        units = Standardiser.of(states)
        z, v = units.standard(states), self.system.velocity(states) / units.std
        functions = functions_for(z, self.seed)
        return hotelling(v, z, functions, groups).p_value
