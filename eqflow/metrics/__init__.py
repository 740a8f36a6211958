"""Measures of velocity fields: preservation, residual, similarity, chaos, spread of many fields."""

from eqflow.metrics.alignment import aligning_signs, chance_spread, unit_fields
from eqflow.metrics.functionals import FUNCTIONALS, band, bootstrapped, within_cells
from eqflow.metrics.growth import Growth, growth
from eqflow.metrics.kernel import median_bandwidth, mmd2, mmd2_splits
from eqflow.metrics.lyapunov import LyapunovSpectrum, kaplan_yorke
from eqflow.metrics.preservation import MMD2, Escaped, SinkhornDivergence, SlicedW2
from eqflow.metrics.ratios import Cosine, RelativeResidual
from eqflow.metrics.series import autocorrelation, integrated_autocorrelation_time, return_map
from eqflow.metrics.textures import (
    BIN_WIDTH,
    HISTOGRAM_EXTENT,
    PROFILES,
    ProfileDistance,
    histogram,
    profile_splits,
    structure_factor,
)
from eqflow.metrics.transport import sinkhorn_divergence, sliced_w2, sliced_w2_splits
from eqflow.metrics.variance import Levels, Spread, analysis_of_variance, cells, pointwise_spread

__all__ = [
    "BIN_WIDTH",
    "FUNCTIONALS",
    "HISTOGRAM_EXTENT",
    "MMD2",
    "PROFILES",
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
    "aligning_signs",
    "analysis_of_variance",
    "autocorrelation",
    "band",
    "bootstrapped",
    "cells",
    "chance_spread",
    "growth",
    "histogram",
    "integrated_autocorrelation_time",
    "kaplan_yorke",
    "median_bandwidth",
    "mmd2",
    "mmd2_splits",
    "pointwise_spread",
    "profile_splits",
    "return_map",
    "sinkhorn_divergence",
    "sliced_w2",
    "sliced_w2_splits",
    "structure_factor",
    "unit_fields",
    "within_cells",
]
