"""Training of scores by denoising score matching, of vectors and of images (method section 3)."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float, Int
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor, nn

from eqflow.errors import InputError
from eqflow.runtime import Draws, generator, global_means, normal, rows
from eqflow.score import CELL_SIDE, TrainedScore
from eqflow.training.batches import Batch
from eqflow.training.stage import StageModule


class ScoreModule(StageModule):
    """Denoising score matching over a log-normal range of noise (Karras et al., arXiv 2206.00364).

    Minimises ``E |D(x_0 + sigma eps; sigma) - x_0|^2 / (d c_out^2)`` over snapshots ``x_0``,
    standard normal ``eps`` and ``log sigma ~ N(noise_mean, noise_std^2)`` of the ``score``;
    ``training`` are the arguments of :class:`StageModule`.
    """

    stage, options = "score", "score.training"

    def __init__(self, score: TrainedScore, steps: int = 2500, **training: Any) -> None:
        super().__init__(steps, **training)
        self.score = score

    def loss(self, batch: Batch, step: int) -> Float[Tensor, ""]:
        """Mean denoising error of the global batch, one draw of noise for each state."""
        x, total = batch
        flat = x.flatten(1)
        draws = normal(torch.cat([flat, flat[:, :1]], 1), total, self.seed, Draws.SCORE, step)
        errors = self.score.denoising_error(x, draws[:, :-1].view(x.shape), draws[:, -1:])
        (loss,) = global_means(errors[None], total)
        return loss


class ImageScoreModule(ScoreModule):
    """Denoising score matching for images: random windows, AdamW, averaged weights.

    The gradient is clipped to the norm ``clip``. Each training step sees one window of each image
    at a random place of the periodic grid, ``crop`` pixels square or, if None, as large as the
    image; with ``turned`` windows are also turned and mirrored, which is right for patterns without
    preferred direction or handedness. ``bf16`` computes the loss in half precision on devices
    where that is fast; weights and everything after training are single precision.

    Validation and the trained score use :class:`AveragedWeights` with decay ``ema``, on whole
    images. Raises ``InputError`` unless ``0 <= ema < 1``, ``clip > 0``, ``weight_decay >= 0`` and
    ``crop`` is a multiple of ``CELL_SIDE``.
    """

    def __init__(
        self,
        score: TrainedScore,
        steps: int = 9000,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.01,
        ema: float = 0.998,
        clip: float = 1.0,
        crop: int | None = None,
        turned: bool = True,
        bf16: bool = True,
        **training: Any,
    ) -> None:
        super().__init__(score, steps, learning_rate=learning_rate, **training)
        if not (0 <= ema < 1 and clip > 0 and weight_decay >= 0):
            raise InputError(
                f"score.training: ema={ema}, clip={clip}, weight_decay={weight_decay} found; "
                "expected 0 <= ema < 1, clip > 0, weight_decay >= 0"
            )
        if crop is not None and (crop < CELL_SIDE or crop % CELL_SIDE):
            raise InputError(
                f"score.training.crop={crop} found; expected null or a multiple of {CELL_SIDE}"
            )
        self.weight_decay, self.ema, self.clip = weight_decay, ema, clip
        self.crop, self.turned, self.bf16 = crop, turned, bf16

    def optimizer(self, trained: list[nn.Parameter]) -> torch.optim.Optimizer:
        options: dict[str, Any] = {"betas": (0.9, 0.99), "weight_decay": self.weight_decay}
        return torch.optim.AdamW(trained, self.learning_rate, **options)

    def configure_callbacks(self) -> list[WeightAveraging]:
        return [AveragedWeights(self.ema, self.trainer.strategy.root_device)]

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip to ``clip``, unless the trainer is told another norm."""
        self.clip_gradients(optimizer, gradient_clip_val or self.clip, gradient_clip_algorithm)

    def loss(self, batch: Batch, step: int) -> Float[Tensor, ""]:
        """Denoising error on windows in training, on whole images in validation."""
        if not self.training:
            return super().loss(batch, step)
        seen = Batch(windows(batch, self.seed, step, self.crop, self.turned), batch.total)
        device = seen.states.device
        # not the trainer's precision: that would hold for the validation too
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16 and has_bf16(device)):
            return super().loss(seen, step)


class AveragedWeights(WeightAveraging):
    """Exponential moving average of a module's weights, from the initial ones on.

    After step ``k = 1, 2, ...`` the mean of weights ``w`` is ``beta mean + (1 - beta) w`` with
    ``beta = min(decay, k / (k + 9))``: the first steps soon forget the initial weights, later ones
    average over ``1 / (1 - decay)`` steps. Validation measures the mean, and the module holds it
    once training has ended; checkpoints hold both, so that a resumed training goes on exactly.
    """

    def __init__(self, decay: float, device: torch.device) -> None:
        def average(means: Iterable[Tensor], weights: Iterable[Tensor], count: Tensor) -> None:
            k = int(count)
            for mean, weight in zip(means, weights, strict=True):
                mean.lerp_(weight, 1 - min(decay, k / (k + 9)))

        super().__init__(device, use_buffers=False, multi_avg_fn=average)

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:  # else the first update would forget the initial ones
            self._average_model.n_averaged.fill_(1)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        # also where a training resumed after its last step, which is no training to the trainer
        self.on_train_end(trainer, pl_module)


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 convolutions are faster than single precision on a device."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_amx_tile_supported()


def windows(
    batch: Batch, seed: int, step: int, side: int | None = None, turned: bool = True
) -> Float[Tensor, "batch channels height width"]:
    """One window of each image of a batch, ``side`` pixels square or as large as the image.

    Its place on the periodic grid is uniform; with ``turned`` it is mirrored along either axis and,
    if it is square, along the diagonal, each with probability one half. The draws are a function of
    ``seed``, ``step`` and the row in the global batch.
    """
    x, total = batch
    draw = generator(seed, Draws.WINDOWS, step, x.device)
    places = torch.rand(total, 5, generator=draw, device=x.device)[rows(total)]
    coins = (places[:, 2:] < 0.5) & turned
    i, j = (_line(places[:, axis], coins[:, axis], x.shape[2 + axis], side) for axis in (0, 1))
    image = torch.arange(len(x), device=x.device)[:, None, None]
    cut = x.permute(0, 2, 3, 1)[image, i[:, :, None], j[:, None, :]].permute(0, 3, 1, 2)
    if cut.shape[2] == cut.shape[3]:
        cut = torch.where(coins[:, 2, None, None, None], cut.mT, cut)
    return cut.contiguous()


def _line(
    place: Float[Tensor, " batch"], mirrored: Tensor, length: int, side: int | None
) -> Int[Tensor, "batch side"]:
    """Indices of ``side`` pixels along a periodic axis, backwards where ``mirrored``."""
    steps = torch.arange(side or length, device=place.device)
    sign = 1 - 2 * mirrored.long()
    return ((place * length).long()[:, None] + sign[:, None] * steps) % length
