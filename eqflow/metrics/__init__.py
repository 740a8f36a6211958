"""Measures of a field: what it preserves, its residual, what it resembles and its chaos."""

from eqflow.metrics.growth import Growth, growth
from eqflow.metrics.kernel import median_bandwidth, mmd2, mmd2_splits
from eqflow.metrics.lyapunov import LyapunovSpectrum, kaplan_yorke
from eqflow.metrics.preservation import MMD2, Escaped, SinkhornDivergence, SlicedW2
from eqflow.metrics.ratios import Cosine, RelativeResidual
from eqflow.metrics.series import autocorrelation, integrated_autocorrelation_time, return_map
from eqflow.metrics.spread import (
    FUNCTIONALS,
    Levels,
    Spread,
    band,
    cells,
    pointwise,
    resampled,
    signs,
    spread,
    unit_fields,
    unrelated,
    within,
)
from eqflow.metrics.textures import (
    EXTENT,
    PROFILES,
    WIDTH,
    ProfileDistance,
    histogram,
    profile_splits,
    structure_factor,
)
from eqflow.metrics.transport import sinkhorn_divergence, sliced_w2, sliced_w2_splits

__all__ = [
    "EXTENT",
    "FUNCTIONALS",
    "MMD2",
    "PROFILES",
    "WIDTH",
    "Cosine",
    "Escaped",
    "Growth",
    "Levels",
    "LyapunovSpectrum",
    "ProfileDistance",
    "RelativeResidual",
    "SinkhornDivergence",
    "SlicedW2",
    "Spread",
    "autocorrelation",
    "band",
    "cells",
    "growth",
    "histogram",
    "integrated_autocorrelation_time",
    "kaplan_yorke",
    "median_bandwidth",
    "mmd2",
    "mmd2_splits",
    "pointwise",
    "profile_splits",
    "resampled",
    "return_map",
    "signs",
    "sinkhorn_divergence",
    "sliced_w2",
    "sliced_w2_splits",
    "spread",
    "structure_factor",
    "unit_fields",
    "unrelated",
    "within",
]
