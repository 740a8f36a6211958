"""Lightning modules and their batches: where the science meets the training loop."""

from eqflow.training.batches import Batch, noised_batches, pass_size, train_loader, val_loader
from eqflow.training.checkpoints import AtomicCheckpoints
from eqflow.training.images import ImageScoreModule, score_module
from eqflow.training.library import LibraryModule
from eqflow.training.modules import FlowModule, ScoreModule, StageModule
from eqflow.training.weak import CONDITIONS, WeakModule, flow_module

__all__ = [
    "CONDITIONS",
    "AtomicCheckpoints",
    "Batch",
    "FlowModule",
    "ImageScoreModule",
    "LibraryModule",
    "ScoreModule",
    "StageModule",
    "WeakModule",
    "flow_module",
    "noised_batches",
    "pass_size",
    "score_module",
    "train_loader",
    "val_loader",
]
