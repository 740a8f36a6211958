"""Families of velocity fields ``v(x)`` and their nulls."""

from eqflow.fields.base import VelocityField
from eqflow.fields.convolution import random_kernel, skew_kernel
from eqflow.fields.ensemble import Ensemble
from eqflow.fields.families import ALIKE, FAMILIES, LEARNED, SCORED, build_ensemble, build_field
from eqflow.fields.isotropic import IsotropicNetwork
from eqflow.fields.kernel import KernelMap
from eqflow.fields.library import Library
from eqflow.fields.linear import MinusX, ScoreMap, random_matrix, skew_matrix
from eqflow.fields.network import Network
from eqflow.fields.stream import Stream

__all__ = [
    "ALIKE",
    "FAMILIES",
    "LEARNED",
    "SCORED",
    "Ensemble",
    "IsotropicNetwork",
    "KernelMap",
    "Library",
    "MinusX",
    "Network",
    "ScoreMap",
    "Stream",
    "VelocityField",
    "build_ensemble",
    "build_field",
    "random_kernel",
    "random_matrix",
    "skew_kernel",
    "skew_matrix",
]
