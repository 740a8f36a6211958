"""Trained score for images: a periodic U-Net in the denoiser of :mod:`eqflow.score.trained`."""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.score.base import Sigma
from eqflow.score.convolution import DIVISOR, PeriodicUNet
from eqflow.score.symmetry import PLACES, TURNS, frames
from eqflow.score.trained import TrainedScore


class ConvScore(TrainedScore):
    """Local score for images of shape ``(C, H, W)`` on a periodic grid, and for any other canvas.

    ``noise_std=0``, the default, is the one level ``exp(noise_mean)``, which needs no more
    network than it does; else the network is told the level. ``conservative`` makes the score
    the gradient of an energy that is a sum over pixels: ``Phi(u) = u . N(u)``, at two and a half
    times the cost. ``symmetrise`` frames are averaged wherever the score is used, not in training:
    8 take out most of what down-sampling prefers, 128 all (:func:`eqflow.score.symmetry.frames`).

    Raises ``InputError`` for sides that are no multiples of 4.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int = 32,
        depth: int = 4,
        conservative: bool = False,
        symmetrise: int = 0,
        noise_mean: float = -1.4271,
        noise_std: float = 0.0,
    ) -> None:
        super().__init__(conservative, noise_mean, noise_std)
        if len(shape) != 3:
            raise InputError(
                f"score=conv takes images of shape (C, H, W), found snapshots of shape {shape}"
            )
        most = len(PLACES) * len(TURNS)
        if not 0 <= symmetrise <= most:
            raise InputError(f"score.symmetrise={symmetrise} found; expected 0 to {most} frames")
        _check_sides(*shape[1:])
        self.frames = frames(symmetrise)
        self.network = PeriodicUNet(shape[0], width, depth, conditional=noise_std > 0)

    def _unit_inputs(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor | None]:
        """Unit-variance state, and the normalised log-noise if there are several levels."""
        _check_sides(*x.shape[2:])
        return x / (1 + sigma**2).sqrt(), self._level(sigma) if self.noise_std else None

    def residual(
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

    def energy(
        self, x: Float[Tensor, "batch channels height width"], sigma: Sigma
    ) -> Float[Tensor, " batch"]:
        if not self.frames:
            return super().energy(x, sigma)
        seen = [super(ConvScore, self).energy(frame.into(x), sigma) for frame in self.frames]
        return torch.stack(seen).mean(0)

    def forward(
        self, x: Float[Tensor, "batch channels height width"], sigma: Sigma
    ) -> Float[Tensor, "batch channels height width"]:
        if not self.frames:
            return super().forward(x, sigma)
        parts = (
            frame.back(super(ConvScore, self).forward(frame.into(x), sigma))
            for frame in self.frames
        )
        return sum(parts, torch.zeros_like(x)) / len(self.frames)


def _check_sides(height: int, width: int) -> None:
    if height % DIVISOR or width % DIVISOR:
        raise InputError(
            f"score=conv takes canvases whose sides are multiples of {DIVISOR}, found {height} x "
            f"{width}"
        )
