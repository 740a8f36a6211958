"""Training of a score of images: what does not pay for vectors."""

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqflow.errors import InputError
from eqflow.runtime import Draws, generator, global_means, rows
from eqflow.score import CELL, ImageScore, TrainedScore
from eqflow.training.batches import Batch
from eqflow.training.modules import ScoreModule


class ImageScoreModule(ScoreModule):
    """Denoising score matching on random windows, its weights averaged over the steps.

    A copy of ``score`` is trained by AdamW, its gradient cut to the norm ``clip``; ``score`` itself
    holds the exponential moving average of its weights, over ``1 / (1 - ema)`` steps, and is what
    the validation measures, on whole images. Windows are ``crop`` pixels square, or as large as the
    images, at random places of the periodic grid; ``turned`` also turns and mirrors them, which is
    right for patterns without preferred direction or handedness. ``bf16`` trains in half precision
    on a device that computes in it; the score is always used in single.
    """

    def __init__(
        self,
        score: ImageScore,
        steps: int = 9000,
        learning_rate: float = 3e-3,
        warmup: float = 0.05,
        weight_decay: float = 0.01,
        ema: float = 0.998,
        clip: float = 1.0,
        crop: int | None = None,
        turned: bool = True,
        bf16: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(score, steps, learning_rate, warmup, seed)
        if not (0 <= ema < 1 and clip > 0 and weight_decay >= 0):
            raise InputError(
                f"score.training: ema={ema}, clip={clip}, weight_decay={weight_decay} found; "
                "expected 0 <= ema < 1, clip > 0, weight_decay >= 0"
            )
        if crop is not None and (crop < CELL or crop % CELL):
            raise InputError(
                f"score.training.crop={crop} found; expected null or a multiple of {CELL}"
            )
        self.weight_decay, self.ema, self.clip = weight_decay, ema, clip
        self.crop, self.turned, self.bf16 = crop, turned, bf16
        self.student = copy.deepcopy(score).requires_grad_()
        score.requires_grad_(False)

    def optimizer(self, trained: list[nn.Parameter]) -> torch.optim.Optimizer:
        options: dict[str, Any] = {"betas": (0.9, 0.99), "weight_decay": self.weight_decay}
        return torch.optim.AdamW(trained, self.learning_rate, **options)

    def loss(self, batch: Batch, step: int) -> Float[Tensor, ""]:
        """Of the copy on windows while it trains, else of the average on whole images."""
        if not self.training:
            return super().loss(batch, step)
        seen = Batch(windows(batch, self.seed, step, self.crop, self.turned), batch.total)
        device = seen.states.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16 and has_bf16(device)):
            errors = self._errors(self.student, seen, step)
        (loss,) = global_means(errors.float()[None], batch.total)
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        nn.utils.clip_grad_norm_(self.student.parameters(), self.clip)

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        step = self.global_step
        super().optimizer_step(*arguments, **options)
        self._average(step)

    @torch.no_grad()
    def _average(self, step: int) -> None:
        # the first steps count for less: the initial weights are soon forgotten
        share = 1 - min(self.ema, (1 + step) / (10 + step))
        for mean, now in zip(self.score.parameters(), self.student.parameters(), strict=True):
            mean.lerp_(now, share)


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 convolutions are faster than single precision on a device."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_amx_tile_supported()


def score_module(score: TrainedScore, **options: Any) -> ScoreModule:
    """The module that trains ``score``: that of images or that of vectors."""
    if isinstance(score, ImageScore):
        return ImageScoreModule(score, **options)
    return ScoreModule(score, **options)


def windows(
    batch: Batch, seed: int, step: int, side: int | None = None, turned: bool = True
) -> Float[Tensor, "batch channels height width"]:
    """One window of each image, ``side`` pixels square or as large as the image.

    Its place is uniform; ``turned`` mirrors it along either axis and, if it is square, along the
    diagonal, each with probability one half. Draws are those of (seed, step, global row).
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


def _line(place: Tensor, mirrored: Tensor, length: int, side: int | None) -> Tensor:
    """Indices of ``side`` pixels in a row, for each image; periodic, backwards where mirrored."""
    steps = torch.arange(side or length, device=place.device)
    sign = 1 - 2 * mirrored.long()
    return ((place * length).long()[:, None] + sign[:, None] * steps) % length
