"""Measures of a velocity field, taken against one reference and returned as a flat dictionary.

Callbacks pass a light protocol, the evaluate stage the full one; nulls that are simulated go
through the same call. Names and definitions: docs/measures.md. Everything is in standardised units,
times in transit times. A measure is a class in ``eqflow.metrics``; here it gets its states and its
name.
"""

from eqflow.evaluation.behaviour import at_rest
from eqflow.evaluation.chaos import (
    chaos,
    field_growth,
    member_chaos,
    step,
    true_chaos,
    true_growth,
)
from eqflow.evaluation.comparison import ComparedField, Numbers
from eqflow.evaluation.evaluate import (
    FURTHER_MEASURES,
    evaluate,
    evaluate_rest,
    evaluate_truth,
)
from eqflow.evaluation.identifiability import Bands, Identifiability, identifiability
from eqflow.evaluation.members import evaluate_members, random_skew_similarity
from eqflow.evaluation.pairs import Kinds, embedding, kinds
from eqflow.evaluation.preservation import preservation, simulated
from eqflow.evaluation.protocol import HEADLINE, Protocol
from eqflow.evaluation.ranking import RANK, SAMPLING_NOISE, ranked
from eqflow.evaluation.reference import Reference, true_path
from eqflow.evaluation.rules import BOUNDS, broken

__all__ = [
    "BOUNDS",
    "FURTHER_MEASURES",
    "HEADLINE",
    "RANK",
    "SAMPLING_NOISE",
    "Bands",
    "ComparedField",
    "Identifiability",
    "Kinds",
    "Numbers",
    "Protocol",
    "Reference",
    "at_rest",
    "broken",
    "chaos",
    "embedding",
    "evaluate",
    "evaluate_members",
    "evaluate_rest",
    "evaluate_truth",
    "field_growth",
    "identifiability",
    "kinds",
    "member_chaos",
    "preservation",
    "random_skew_similarity",
    "ranked",
    "simulated",
    "step",
    "true_chaos",
    "true_growth",
    "true_path",
]
