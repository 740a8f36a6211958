"""Families of velocity fields ``v(x)`` and their nulls."""

from eqflow.fields.base import VelocityField
from eqflow.fields.ensemble import Ensemble
from eqflow.fields.families import ALIKE, LEARNED, SCORED, build_ensemble, build_field
from eqflow.fields.library import Library
from eqflow.fields.linear import KernelMap
from eqflow.fields.network import Network
from eqflow.fields.stream import Stream

__all__ = [
    "ALIKE",
    "LEARNED",
    "SCORED",
    "Ensemble",
    "KernelMap",
    "Library",
    "Network",
    "Stream",
    "VelocityField",
    "build_ensemble",
    "build_field",
]
