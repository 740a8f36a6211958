"""One stage of a run, the training of a score or of a velocity field, as a Lightning module."""

from abc import ABC, abstractmethod
from math import cos, pi
from typing import Any, cast

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from eqflow.errors import InputError
from eqflow.training.batches import Batch, BatchSampler

VALIDATION_STEP = 2**31
"""Step whose noise the first validation batch takes: beyond those of any training."""


class StageModule(pl.LightningModule, ABC):
    """Minimises :meth:`loss` by Adam under linear warm-up and cosine decay.

    The learning rate of step ``k`` is ``learning_rate * min(1, (k + 1) / (warmup steps + 1))
    * (1 + cos(pi k / steps)) / 2``: ``warmup`` is a share of ``steps``. All noise is a function of
    ``seed`` and the step, so that a training resumed from a checkpoint sees what an uninterrupted
    one would. Checkpoints hold plain containers and the stage's name.

    Raises ``InputError`` for ``steps < 1``, ``learning_rate <= 0`` and ``warmup < 0``.
    """

    stage: str
    """``score``, ``network`` or ``flow``: where the stage's curves and checkpoints are found."""

    options = "flow.training"
    """Where its options are found."""

    members = 1
    """Number of fields that the loss is a sum over; curves show their mean."""

    def __init__(
        self, steps: int, learning_rate: float = 1e-2, warmup: float = 0.05, seed: int = 0
    ) -> None:
        super().__init__()
        if steps < 1 or not learning_rate > 0 or not warmup >= 0:
            raise InputError(
                f"{self.options}: steps={steps}, learning_rate={learning_rate}, "
                f"warmup={warmup} found; expected steps >= 1, learning_rate > 0, warmup >= 0"
            )
        self.steps, self.learning_rate, self.warmup, self.seed = steps, learning_rate, warmup, seed

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = self.optimizer([p for p in self.parameters() if p.requires_grad])

        def factor(step: int) -> float:
            rise = min(1.0, (step + 1) / (self.warmup * self.steps + 1))
            return rise * (1 + cos(pi * min(step / self.steps, 1.0))) / 2

        schedule = LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def optimizer(self, trained: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Optimiser of the ``trained`` parameters at the full learning rate."""
        return torch.optim.Adam(trained, self.learning_rate, betas=(0.9, 0.99))

    @abstractmethod
    def loss(self, batch: Batch, step: int) -> Float[Tensor, ""]:
        """Loss of a global batch, of which ``batch`` is this process's part, with ``step``'s noise.

        Its value is that of the global batch in every process; its gradients average to that of
        one process.
        """

    def forward(self, batch: Batch, step: int) -> Float[Tensor, ""]:
        return self.loss(batch, step)

    def training_step(self, batch: Batch) -> Float[Tensor, ""]:
        loss = self.loss(batch, self.global_step)
        # only where it is written: a call on every step is most of the trainer's overhead
        if (self.global_step + 1) % cast(Any, self.trainer).log_every_n_steps == 0:
            self.log(f"{self.stage}/train_loss", loss.detach() / self.members, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        # the same noise at every validation: the curve shows learning, not the draw
        loss = self.loss(batch, VALIDATION_STEP + batch_idx)
        self.log(f"{self.stage}/val_loss", loss / self.members, batch_size=batch.total)

    def on_train_start(self) -> None:
        self.on_train_epoch_start()  # which is not called for the rest of an interrupted epoch

    def on_train_epoch_start(self) -> None:
        loader = cast(DataLoader[Batch], self.trainer.train_dataloader)
        # an epoch that debug=overfit cuts short repeats the same batches
        whole = self.trainer.limit_train_batches == 1.0
        cast(BatchSampler, loader.sampler).first_step = self.global_step if whole else 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["stage"] = self.stage
