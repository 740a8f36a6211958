"""Lightning modules and their batches: where the science meets the training loop."""

from eqflow.training.batches import Batch, noised_batches, pass_size, train_loader, val_loader
from eqflow.training.ensemble import EnsembleModule
from eqflow.training.flow import CONDITIONS, SELECTION, flow_module
from eqflow.training.images import ImageScoreModule, score_module
from eqflow.training.library import LibraryModule
from eqflow.training.modules import FlowModule, ScoreModule, StageModule
from eqflow.training.stream import StreamModule, warn_of_asymmetry
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
    "ScoreModule",
    "StageModule",
    "StreamModule",
    "WeakModule",
    "flow_module",
    "noised_batches",
    "pass_size",
    "quiet_trainer",
    "score_module",
    "train_loader",
    "val_loader",
    "warn_of_asymmetry",
]
