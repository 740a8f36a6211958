"""Estimators of the score ``grad log p_sigma``: trained denoiser, closed empirical form."""

from eqflow.score.base import Score, Sigma
from eqflow.score.empirical import EmpiricalScore
from eqflow.score.families import SCORES, build_score
from eqflow.score.mlp import MLPScore

__all__ = ["SCORES", "EmpiricalScore", "MLPScore", "Score", "Sigma", "build_score"]
