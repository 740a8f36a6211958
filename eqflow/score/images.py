"""What the trained scores of images have in common: any canvas, seen in several frames."""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.nn import PeriodicUNet
from eqflow.score.base import Sigma
from eqflow.score.frames import CELL, EVERY, frames
from eqflow.score.trained import TrainedScore


class ImageScore(TrainedScore):
    """Local score of images ``(C, H, W)`` on a periodic grid, of any sides that ``CELL`` divides.

    ``symmetrise`` frames are averaged wherever the score is used, not in training
    (:func:`eqflow.score.symmetry.frames`): 8 make the bias three times smaller, 128 zero. Raises
    ``InputError`` for other shapes and sides.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        conservative: bool,
        symmetrise: int,
        noise_mean: float,
        noise_std: float,
    ) -> None:
        super().__init__(conservative, noise_mean, noise_std)
        if len(shape) != 3:
            raise InputError(
                "score=conv and score=unet take images of shape (C, H, W), found snapshots of "
                f"shape {shape}"
            )
        if not 0 <= symmetrise <= EVERY:
            raise InputError(f"score.symmetrise={symmetrise} found; expected 0 to {EVERY} frames")
        _check_sides(*shape[1:])
        self.frames = frames(symmetrise)

    def _unit_inputs(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor | None]:
        """Unit-variance state, and the normalised log-noise if there are several levels."""
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
    if height % CELL or width % CELL:
        raise InputError(
            f"score: found a canvas of {height} x {width}; expected sides that are multiples of "
            f"{CELL}, by which score=conv and score=unet take pixels together"
        )


class ConvScore(ImageScore):
    """Our small convolutional score: it trains in minutes on two cores.

    ``conservative`` makes it the gradient of an energy that is a sum over pixels,
    ``Phi(u) = u . N(u)``, at two and a half times the cost. With ``noise_std=0``, the default, it
    is made for the one level ``exp(noise_mean)``; else the network is told the level.
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
        super().__init__(shape, conservative, symmetrise, noise_mean, noise_std)
        self.network = PeriodicUNet(shape[0], width, depth, conditional=noise_std > 0)

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
