"""Dynamics whose truth is known: right-hand side and sampler."""

from eqflow.systems.lorenz import Lorenz63

__all__ = ["Lorenz63"]
