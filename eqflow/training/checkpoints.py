"""How the trainer's checkpoints reach the disk."""

from pathlib import Path
from typing import Any

from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from eqflow import store


class AtomicCheckpoints(TorchCheckpointIO):
    """Replaces a checkpoint in one step.

    The trainer's own way goes through the system's temporary folder: from another disk that is a
    copy, and a process killed meanwhile leaves half a file.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        store.save(Path(path), checkpoint)
