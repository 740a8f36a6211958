"""The only road to a number: one field, one protocol, one flat dictionary.

Callbacks pass a light protocol, the evaluate stage the full one, nulls go through the same call.
Names and definitions: docs/measures.md. Everything is in standardised units, times in
transit times. A measure is a class in ``eqflow.metrics``; here it gets its states and its name.
"""

from eqflow.evaluation.chaos import chaos, field_growth, member_chaos, step, true_growth
from eqflow.evaluation.evaluate import evaluate
from eqflow.evaluation.identifiability import Bands, Identifiability, identifiability
from eqflow.evaluation.members import evaluate_members, mean_and_spread, random_skew_similarity
from eqflow.evaluation.pairs import Kinds, embedding, kinds
from eqflow.evaluation.preservation import escape_radius, preservation, resampling_floor
from eqflow.evaluation.protocol import HEADLINE, Protocol
from eqflow.evaluation.residuals import residuals, stationarity
from eqflow.evaluation.similarity import similarity
from eqflow.evaluation.states import held_out, true_path

__all__ = [
    "HEADLINE",
    "Bands",
    "Identifiability",
    "Kinds",
    "Protocol",
    "chaos",
    "embedding",
    "escape_radius",
    "evaluate",
    "evaluate_members",
    "field_growth",
    "held_out",
    "identifiability",
    "kinds",
    "mean_and_spread",
    "member_chaos",
    "preservation",
    "random_skew_similarity",
    "resampling_floor",
    "residuals",
    "similarity",
    "stationarity",
    "step",
    "true_growth",
    "true_path",
]
