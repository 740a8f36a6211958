"""The condition that a velocity field must meet to keep a distribution as it is.

In its strong form the condition is ``div v + v . s = 0`` with the score ``s`` (method section 1);
in its weak form it is ``E[v . grad phi] = 0`` for every smooth test function ``phi`` (method
section 5).
"""

from eqflow.stationarity.divergence import (
    MAX_EXACT_DIM,
    Velocity,
    check_dim,
    hutchinson,
    jacobian,
    rademacher,
)
from eqflow.stationarity.form import Form, Sums
from eqflow.stationarity.functions import FourierFunctions, RandomWaves
from eqflow.stationarity.hotelling import (
    Stationarity,
    functions_for,
    hotelling,
    moment_weights,
    zero_mean_test,
)
from eqflow.stationarity.orientation import Orientation, orientation
from eqflow.stationarity.residual import dot, strong_moments
from eqflow.stationarity.weak import WeakForm, sums, uncorrelated_functions

__all__ = [
    "MAX_EXACT_DIM",
    "Form",
    "FourierFunctions",
    "Orientation",
    "RandomWaves",
    "Stationarity",
    "Sums",
    "Velocity",
    "WeakForm",
    "check_dim",
    "dot",
    "functions_for",
    "hotelling",
    "hutchinson",
    "jacobian",
    "moment_weights",
    "orientation",
    "rademacher",
    "strong_moments",
    "sums",
    "uncorrelated_functions",
    "zero_mean_test",
]
