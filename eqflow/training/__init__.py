"""Lightning modules and their batches: where the science meets the training loop."""

from eqflow.training.batches import Batch, noised_batches, train_loader, val_loader
from eqflow.training.library import LibraryModule
from eqflow.training.modules import FlowModule, ScoreModule, StageModule

__all__ = [
    "Batch",
    "FlowModule",
    "LibraryModule",
    "ScoreModule",
    "StageModule",
    "noised_batches",
    "train_loader",
    "val_loader",
]
