"""Dynamics whose truth is known: right-hand side and sampler."""

from eqflow.systems.dysts import Dysts
from eqflow.systems.lorenz import Lorenz63
from eqflow.systems.sample import Sample

__all__ = ["Dysts", "Lorenz63", "Sample"]
