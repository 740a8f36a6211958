"""Estimators of the score ``grad log p_sigma``: trained denoiser, closed empirical form."""

from eqflow.score.asymmetry import asymmetry
from eqflow.score.base import Score, Sigma
from eqflow.score.conv import ConvScore
from eqflow.score.empirical import EmpiricalScore
from eqflow.score.families import SCORES, build_score
from eqflow.score.images import ImageScore
from eqflow.score.mlp import MLPScore
from eqflow.score.trained import TrainedScore
from eqflow.score.unet import UNetScore

__all__ = [
    "SCORES",
    "ConvScore",
    "EmpiricalScore",
    "ImageScore",
    "MLPScore",
    "Score",
    "Sigma",
    "TrainedScore",
    "UNetScore",
    "asymmetry",
    "build_score",
]
