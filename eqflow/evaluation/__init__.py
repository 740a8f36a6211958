"""The only road to a number: one field, one protocol, one flat dictionary.

Callbacks pass a light protocol, the evaluate stage the full one, nulls go through the same call.
Names and definitions: docs/measures.md. Everything is in standardised units, times in
transit times. A measure is a class in ``eqflow.metrics``; here it gets its states and its name.
"""

from eqflow.evaluation.chaos import chaos, field_growth, member_chaos, step, true_growth
from eqflow.evaluation.displacement import displacement
from eqflow.evaluation.evaluate import evaluate
from eqflow.evaluation.gauge import Bands, Gauge, gauge
from eqflow.evaluation.images import cross_similarity, image_similarity
from eqflow.evaluation.members import evaluate_members
from eqflow.evaluation.pairs import Kinds, embedding, kinds, pair_table
from eqflow.evaluation.paths import simulated, true_path
from eqflow.evaluation.preservation import escape_radius, preservation, resampling_floor
from eqflow.evaluation.protocol import HEADLINE, Protocol
from eqflow.evaluation.random_skew import random_skew_similarity
from eqflow.evaluation.residuals import residuals
from eqflow.evaluation.similarity import similarity
from eqflow.evaluation.states import held_out
from eqflow.evaluation.stationarity import stationarity
from eqflow.evaluation.textures import textures

__all__ = [
    "HEADLINE",
    "Bands",
    "Gauge",
    "Kinds",
    "Protocol",
    "chaos",
    "cross_similarity",
    "displacement",
    "embedding",
    "escape_radius",
    "evaluate",
    "evaluate_members",
    "field_growth",
    "gauge",
    "held_out",
    "image_similarity",
    "kinds",
    "member_chaos",
    "pair_table",
    "preservation",
    "random_skew_similarity",
    "resampling_floor",
    "residuals",
    "similarity",
    "simulated",
    "stationarity",
    "step",
    "textures",
    "true_growth",
    "true_path",
]
