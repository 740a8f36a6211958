"""The Lightning modules that train a score, and a velocity field on top of one."""

from collections.abc import Callable
from math import cos, pi
from typing import Any, cast

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from eqflow.data import KnownVelocities
from eqflow.errors import InputError
from eqflow.fields import VelocityField
from eqflow.runtime import Draws, generator, global_means, normal, rows
from eqflow.score import Score, TrainedScore
from eqflow.stationarity import MAX_EXACT_DIM, check_dim, rademacher, strong_moments
from eqflow.training.batches import Batch, BatchSampler
from eqflow.training.velocities import KnownVelocityLoss


class StageModule(pl.LightningModule):
    """One stage of a run: Adam (0.9, 0.99), linear warm-up and cosine decay over ``steps``.

    Its checkpoints are plain containers that carry the stage's name.
    """

    stage: str
    members = 1  # that a loss is the sum over

    def __init__(self, steps: int, learning_rate: float, warmup: float, seed: int) -> None:
        super().__init__()
        if steps < 1 or not learning_rate > 0 or not warmup >= 0:
            raise InputError(
                f"{self.stage}.training: steps={steps}, learning_rate={learning_rate}, "
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
        """Of the ``trained`` parameters, at the full learning rate."""
        return torch.optim.Adam(trained, self.learning_rate, betas=(0.9, 0.99))

    def loss(self, batch: Batch, step: int) -> Float[Tensor, ""]:
        """What the stage minimises, with the noise of ``step``."""
        raise NotImplementedError

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
        loss = self.loss(batch, 2**31 + batch_idx)
        self.log(f"{self.stage}/val_loss", loss / self.members, batch_size=batch.total)

    def on_train_start(self) -> None:
        self.on_train_epoch_start()  # which is not called for the rest of an interrupted epoch

    def on_train_epoch_start(self) -> None:
        loader = cast(DataLoader[Batch], self.trainer.train_dataloader)
        # where an epoch is cut short, by debug=overfit, it is for the same batches again
        whole = self.trainer.limit_train_batches == 1.0
        cast(BatchSampler, loader.sampler).first_step = self.global_step if whole else 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["stage"] = self.stage


class ScoreModule(StageModule):
    """Denoising score matching over log-normal noise (method section 3)."""

    stage = "score"

    def __init__(
        self,
        score: TrainedScore,
        steps: int = 2500,
        learning_rate: float = 1e-2,
        warmup: float = 0.05,
        seed: int = 0,
    ) -> None:
        super().__init__(steps, learning_rate, warmup, seed)
        self.score = score

    def _errors(self, score: TrainedScore, batch: Batch, step: int) -> Tensor:
        """Denoising error of each of this process's rows, one noise draw each."""
        x, total = batch
        flat = x.flatten(1)
        draws = normal(torch.cat([flat, flat[:, :1]], 1), total, self.seed, Draws.SCORE, step)
        return score.denoising_error(x, draws[:, :-1].view(x.shape), draws[:, -1:])

    def loss(self, batch: Batch, step: int) -> Float[Tensor, ""]:
        """Denoising loss of the global batch."""
        (loss,) = global_means(self._errors(self.score, batch, step)[None], batch.total)
        return loss


class FlowModule(StageModule):
    """A velocity network trained to leave the smoothed law as it is (method section 5).

    Strong form: the loss is ``E r^2 / E |v|^2`` at noise ``sigma``, whose denominator excludes
    ``v = 0``. That ratio alone can be lowered by resting at most states and rushing through few, so
    ``evenness`` weighs by how much ``E |v|^4 / (E |v|^2)^2`` exceeds ``1 + 1 / d``, half way from a
    constant speed to a Gaussian velocity: a choice among solutions, part of this family's bias. The
    error at ``velocities`` is added with ``velocity_weight``.

    ``divergence`` is ``exact``, ``hutchinson`` with two probes, or by ``auto`` the exact one where
    it is affordable. Raises ``InputError`` for an unknown divergence and a dimension
    that the exact one cannot afford.
    """

    stage = "flow"

    def __init__(
        self,
        field: VelocityField,
        score: Score,
        sigma: float = 0.2,
        divergence: str = "auto",
        evenness: float = 0.1,
        velocities: KnownVelocities | None = None,
        velocity_weight: float = 1.0,
        steps: int = 3000,
        learning_rate: float = 1e-2,
        warmup: float = 0.05,
        seed: int = 0,
    ) -> None:
        super().__init__(steps, learning_rate, warmup, seed)
        if divergence not in ("auto", "exact", "hutchinson"):
            raise InputError(
                f"flow.divergence={divergence} is unknown; expected auto, exact or hutchinson"
            )
        if not evenness >= 0:
            raise InputError(f"flow.evenness={evenness} found; expected a weight >= 0")
        if divergence == "auto":
            divergence = "exact" if field.dim <= MAX_EXACT_DIM else "hutchinson"
        if divergence == "exact":
            check_dim(field.shape)
        self.field = field
        self.score = score.requires_grad_(False)
        self.sigma, self.divergence, self.evenness = sigma, divergence, evenness
        self.known_velocity_loss = KnownVelocityLoss(velocities, velocity_weight, seed)

    def _moments(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """``r^2`` and ``|v|^2`` at freshly noised states."""
        x = batch.states + self.sigma * normal(
            batch.states, batch.total, self.seed, Draws.FLOW, step
        )
        with torch.no_grad():
            score = self.score(x, self.sigma)
        velocity = self._centred(x, batch.total) if x.ndim > 2 else self.field
        return strong_moments(velocity, x, score, self._probes(x, batch.total, step))

    def _centred(self, x: Tensor, total: int) -> Callable[[Tensor], Tensor]:
        """The field less its mean over the global batch, by channel.

        Images hardly resist a change of their brightness as a whole: the same velocity everywhere
        has a small residual, and none is left of it once the field is centred.
        """
        mean = global_means(self.field(x).mean((2, 3)).T, total)[:, None, None]
        return lambda y: self.field(y) - mean

    def _probes(self, x: Tensor, total: int, step: int) -> Tensor | None:
        if self.divergence == "exact":
            return None
        signs = rademacher(
            x.new_empty(2, total, *x.shape[1:]),
            generator(self.seed, Draws.PROBES, step, x.device),
        )
        return signs[:, rows(total)]

    def loss(self, batch: Batch, step: int) -> Float[Tensor, ""]:
        """Relative residual of the global batch, its unevenness, known velocities."""
        r2, v2 = self._moments(batch, step)
        r2, v2, v4 = global_means(torch.stack([r2, v2, v2**2]), batch.total)
        excess = v4 / v2**2 - (1 + 1 / self.field.dim)
        condition = r2 / v2 + self.evenness * excess.relu()
        return condition + self.known_velocity_loss(self.field, step)
