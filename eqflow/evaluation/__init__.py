"""The only road to a number: one field, one protocol, one flat dictionary.

Callbacks pass a light protocol, the evaluate stage the full one, nulls go through the same call.
Names and definitions are those of METHOD section 8; everything is in standardised units, times in
transit times. A measure is a class in ``eqflow.metrics``; here it gets its states and its name.
"""

from eqflow.evaluation.evaluate import evaluate
from eqflow.evaluation.preservation import escape_radius, preservation, resampling_floor
from eqflow.evaluation.protocol import HEADLINE, Protocol
from eqflow.evaluation.residuals import residuals
from eqflow.evaluation.similarity import random_skew_similarity, similarity
from eqflow.evaluation.states import held_out
from eqflow.evaluation.stationarity import stationarity

__all__ = [
    "HEADLINE",
    "Protocol",
    "escape_radius",
    "evaluate",
    "held_out",
    "preservation",
    "random_skew_similarity",
    "resampling_floor",
    "residuals",
    "similarity",
    "stationarity",
]
