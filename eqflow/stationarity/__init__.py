"""The condition a field must meet to keep a distribution as it is."""

from eqflow.stationarity.divergence import (
    MAX_EXACT_DIM,
    Velocity,
    check_dim,
    hutchinson,
    jacobian,
    rademacher,
)
from eqflow.stationarity.form import Form, Sums, uncorrelated
from eqflow.stationarity.functions import FourierFunctions
from eqflow.stationarity.hotelling import Stationarity, functions_for, hotelling, vanishing, weights
from eqflow.stationarity.orientation import Orientation, orientation
from eqflow.stationarity.residual import strong_moments
from eqflow.stationarity.weak import WeakForm, sums

__all__ = [
    "MAX_EXACT_DIM",
    "Form",
    "FourierFunctions",
    "Orientation",
    "Stationarity",
    "Sums",
    "Velocity",
    "WeakForm",
    "check_dim",
    "functions_for",
    "hotelling",
    "hutchinson",
    "jacobian",
    "orientation",
    "rademacher",
    "strong_moments",
    "sums",
    "uncorrelated",
    "vanishing",
    "weights",
]
