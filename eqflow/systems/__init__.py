"""Dynamics whose truth is known: right-hand side and sampler."""

from eqflow.systems.dysts import Dysts, Sample
from eqflow.systems.lorenz import Lorenz63

__all__ = ["Dysts", "Lorenz63", "Sample"]
