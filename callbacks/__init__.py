"""What is watched while training, and what every logger is told."""

from callbacks.history import History
from callbacks.loggers import Wandb, finish, log_result
from callbacks.preemption import Preemption
from callbacks.preservation import Preservation

__all__ = ["History", "Preemption", "Preservation", "Wandb", "finish", "log_result"]
