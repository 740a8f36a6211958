"""Families of velocity fields ``v(x)`` and their nulls."""

from eqflow.fields.base import VelocityField
from eqflow.fields.families import (
    FAMILIES,
    LEARNED,
    SCORED,
    build_field,
    random_matrix,
    skew_matrix,
)
from eqflow.fields.library import Library
from eqflow.fields.linear import MinusX, ScoreMap
from eqflow.fields.network import Network

__all__ = [
    "FAMILIES",
    "LEARNED",
    "SCORED",
    "Library",
    "MinusX",
    "Network",
    "ScoreMap",
    "VelocityField",
    "build_field",
    "random_matrix",
    "skew_matrix",
]
