"""The condition a field must meet to keep a distribution as it is."""

from eqflow.stationarity.divergence import check_dim, exact, hutchinson, rademacher
from eqflow.stationarity.residual import residual, strong_moments

__all__ = ["check_dim", "exact", "hutchinson", "rademacher", "residual", "strong_moments"]
