"""Families of velocity fields ``v(x)`` and their nulls."""

from eqflow.fields.base import VelocityField
from eqflow.fields.ensemble import Ensemble
from eqflow.fields.exact import EXACT_SIZE, ExactNetwork, exact_if_possible, size_and_training
from eqflow.fields.families import (
    FAMILIES,
    Family,
    build_ensemble,
    build_exact,
    build_field,
    family_of,
    field_options,
    noise_level,
)
from eqflow.fields.library import Library
from eqflow.fields.network import Network
from eqflow.fields.stream import Stream

__all__ = [
    "EXACT_SIZE",
    "FAMILIES",
    "Ensemble",
    "ExactNetwork",
    "Family",
    "Library",
    "Network",
    "Stream",
    "VelocityField",
    "build_ensemble",
    "build_exact",
    "build_field",
    "exact_if_possible",
    "family_of",
    "field_options",
    "noise_level",
    "size_and_training",
]
