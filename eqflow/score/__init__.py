"""Estimators of the score ``grad log p_sigma``: trained denoiser, closed empirical form."""

from eqflow.score.base import Score, asymmetry
from eqflow.score.empirical import EmpiricalScore
from eqflow.score.families import build_score
from eqflow.score.frames import CELL, frames
from eqflow.score.images import ImageScore
from eqflow.score.mlp import MLPScore
from eqflow.score.trained import TrainedScore

__all__ = [
    "CELL",
    "EmpiricalScore",
    "ImageScore",
    "MLPScore",
    "Score",
    "TrainedScore",
    "asymmetry",
    "build_score",
    "frames",
]
