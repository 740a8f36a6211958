"""Trained scores of images on a periodic grid, of any size."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.nn import PeriodicUNet
from eqflow.score.base import Sigma
from eqflow.score.frames import CELL_SIDE, FRAME_COUNT, frames
from eqflow.score.trained import TrainedScore


class ImageScore(TrainedScore):
    """Local score of images ``(C, H, W)`` whose sides are multiples of ``CELL_SIDE``.

    A value depends on its periodic neighbourhood alone, so that a score trained on small images
    serves larger ones. Wherever it is used, but not in training, the mean over ``symmetrise``
    frames is taken (:func:`eqflow.score.frames`): 8 make the bias towards directions and places
    three times smaller, 128 remove it. Raises ``InputError`` for other shapes and sides.
    """

    local = True

    def __init__(
        self,
        shape: tuple[int, ...],
        conservative: bool = False,
        symmetrise: int = 0,
        noise_mean: float = -1.4271,
        noise_std: float = 0.0,
    ) -> None:
        super().__init__(conservative, noise_mean, noise_std)
        if len(shape) != 3:
            raise InputError(
                "score=conv and score=unet take images of shape (C, H, W), found snapshots of "
                f"shape {shape}"
            )
        if not 0 <= symmetrise <= FRAME_COUNT:
            raise InputError(
                f"score.symmetrise={symmetrise} found; expected 0 to {FRAME_COUNT} frames"
            )
        _check_sides(*shape[1:])
        self.frames = frames(symmetrise)

    def _unit_inputs(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor | None]:
        """Unit-variance image, and the standardised log-noise if there are several levels."""
        _check_sides(*x.shape[2:])
        return x / (1 + sigma**2).sqrt(), self._level(sigma) if self.noise_std else None

    def energy(
        self, x: Float[Tensor, "batch channels height width"], sigma: Sigma
    ) -> Float[Tensor, " batch"]:
        energy = super().energy
        if not self.frames:
            return energy(x, sigma)
        return torch.stack([energy(frame.into(x), sigma) for frame in self.frames]).mean(0)

    def forward(
        self, x: Float[Tensor, "batch channels height width"], sigma: Sigma
    ) -> Float[Tensor, "batch channels height width"]:
        score = super().forward
        if not self.frames:
            return score(x, sigma)
        total = torch.zeros_like(x)
        for frame in self.frames:
            total = total + frame.back(score(frame.into(x), sigma))
        return total / len(self.frames)


def _check_sides(height: int, width: int) -> None:
    if height % CELL_SIDE or width % CELL_SIDE:
        raise InputError(
            f"score: found a canvas of {height} x {width}; expected sides that are multiples of "
            f"{CELL_SIDE}, by which score=conv and score=unet take pixels together"
        )


class ConvScore(ImageScore):
    """Score of images by a small :class:`PeriodicUNet` ``N``; trains in minutes on two cores.

    ``options`` are the arguments of :class:`ImageScore`. ``conservative`` makes it minus the
    gradient of an energy with ``Phi(u) = u . N(u)``, a sum over pixels, at two and a half times the
    cost. With ``noise_std=0`` it is made for the single noise level ``exp(noise_mean)``; else the
    network is told the level.
    """

    def __init__(
        self, shape: tuple[int, ...], width: int = 32, depth: int = 4, **options: Any
    ) -> None:
        super().__init__(shape, **options)
        self.network = PeriodicUNet(shape[0], width, depth, conditional=self.noise_std > 0)

    def network_output(
        self, x: Float[Tensor, "batch channels height width"], sigma: Float[Tensor, "#batch 1 1 1"]
    ) -> Float[Tensor, "batch channels height width"]:
        u, level = self._unit_inputs(x, sigma)
        if not self.conservative:
            return self.network(u, level)
        value, pullback = self.network.value_and_pullback(u, u, level)
        return -(value + pullback)

    def potential(
        self, x: Float[Tensor, "batch channels height width"], sigma: Float[Tensor, "#batch 1 1 1"]
    ) -> Float[Tensor, " batch"]:
        u, level = self._unit_inputs(x, sigma)
        return (u * self.network(u, level)).sum((1, 2, 3))
