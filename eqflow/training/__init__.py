"""Training under Lightning: the modules of the stages, their batches and the way they share."""

from eqflow.training.batches import Batch, noised_batches, pass_size, train_loader, val_loader
from eqflow.training.denoising import ImageScoreModule, ScoreModule
from eqflow.training.ensemble import EnsembleModule
from eqflow.training.library import LibraryModule
from eqflow.training.path import (
    CONDITIONS,
    SELECTION,
    check_training,
    discover,
    field_module,
    flow_module,
    flow_training_options,
    match_speed,
    projection_training_options,
    score_module,
    score_training_options,
    train_field,
    train_network,
    train_score,
)
from eqflow.training.projection import ProjectionModule
from eqflow.training.stage import StageModule
from eqflow.training.stream import StreamModule, warn_of_asymmetry
from eqflow.training.strong import FlowModule
from eqflow.training.trainer import AtomicCheckpoints, quiet_trainer
from eqflow.training.weak import WeakModule

__all__ = [
    "CONDITIONS",
    "SELECTION",
    "AtomicCheckpoints",
    "Batch",
    "EnsembleModule",
    "FlowModule",
    "ImageScoreModule",
    "LibraryModule",
    "ProjectionModule",
    "ScoreModule",
    "StageModule",
    "StreamModule",
    "WeakModule",
    "check_training",
    "discover",
    "field_module",
    "flow_module",
    "flow_training_options",
    "match_speed",
    "noised_batches",
    "pass_size",
    "projection_training_options",
    "quiet_trainer",
    "score_module",
    "score_training_options",
    "train_field",
    "train_loader",
    "train_network",
    "train_score",
    "val_loader",
    "warn_of_asymmetry",
]
