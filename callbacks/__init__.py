"""What is watched while training, and what every logger is told."""

from callbacks.history import History
from callbacks.last import Last
from callbacks.loggers import finish, log_result
from callbacks.preemption import Preemption
from callbacks.preservation import Preservation
from callbacks.progress import Progress
from callbacks.pruning import Pruning
from callbacks.wandb_run import Wandb

__all__ = [
    "History",
    "Last",
    "Preemption",
    "Preservation",
    "Progress",
    "Pruning",
    "Wandb",
    "finish",
    "log_result",
]
