"""The condition a field must meet to keep a distribution as it is."""

from eqflow.stationarity.divergence import MAX_EXACT_DIM, check_dim, exact, hutchinson, rademacher
from eqflow.stationarity.residual import residual, strong_moments

__all__ = [
    "MAX_EXACT_DIM",
    "check_dim",
    "exact",
    "hutchinson",
    "rademacher",
    "residual",
    "strong_moments",
]
