"""Estimators of the score ``grad log p_sigma``: trained denoisers and the closed empirical form."""

from eqflow.score.base import Score, asymmetry
from eqflow.score.descent import clean, corrected_from_noise, descend, from_noise, from_snapshots
from eqflow.score.empirical import EmpiricalScore
from eqflow.score.families import build_score, score_options
from eqflow.score.frames import CELL_SIDE, InTurn, frames
from eqflow.score.images import ImageScore
from eqflow.score.mlp import MLPScore
from eqflow.score.trained import TrainedScore

__all__ = [
    "CELL_SIDE",
    "EmpiricalScore",
    "ImageScore",
    "InTurn",
    "MLPScore",
    "Score",
    "TrainedScore",
    "asymmetry",
    "build_score",
    "clean",
    "corrected_from_noise",
    "descend",
    "frames",
    "from_noise",
    "from_snapshots",
    "score_options",
]
