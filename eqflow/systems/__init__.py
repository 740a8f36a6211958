"""Dynamics whose truth is known: right-hand side and sampler."""

from eqflow.systems.dysts import Dysts
from eqflow.systems.gray_scott import GrayScott
from eqflow.systems.lorenz import Lorenz63
from eqflow.systems.runs import Schedule
from eqflow.systems.sample import Sample

__all__ = ["Dysts", "GrayScott", "Lorenz63", "Sample", "Schedule"]
