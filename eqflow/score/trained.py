"""Denoisers with EDM preconditioning (Karras et al. 2022, arXiv 2206.00364).

With unit-variance data ``D(x; sigma) = c_skip x + c_out F(c_in x; sigma)``, where
``c_skip = 1 / (1 + sigma^2)``, ``c_out = sigma c_in`` and ``c_in = 1 / sqrt(1 + sigma^2)``, so that
``s = (D - x) / sigma^2 = -x / (1 + sigma^2) + F / (sigma sqrt(1 + sigma^2))``.

The conservative form takes ``F(u) = -grad_u Phi(u; sigma)`` with a scalar network ``Phi``: then
``s = -grad E`` with ``E = |x|^2 / (2 (1 + sigma^2)) + Phi(c_in x; sigma) / sigma``.
"""

from abc import abstractmethod
from math import exp, isclose

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.score.base import Score, Sigma, column


class TrainedScore(Score):
    """Score given by a network ``F``, trained by denoising.

    Subclasses define :meth:`network_output` and, to be conservative, :meth:`potential`. The noise
    of training is log-normal, ``log sigma ~ N(noise_mean, noise_std^2)``; ``noise_std=0`` is a
    single level, the only one at which the score can then be used. Raises ``InputError`` for
    ``noise_std < 0``.
    """

    local = False
    """Whether a value depends on its neighbourhood alone, so that windows of images train it."""

    def __init__(self, conservative: bool, noise_mean: float, noise_std: float) -> None:
        super().__init__()
        if not noise_std >= 0:
            raise InputError(f"score.noise_std={noise_std} found; expected noise_std >= 0")
        self.conservative = conservative
        self.noise_mean, self.noise_std = noise_mean, noise_std

    def check_level(self, sigma: float) -> None:
        level = exp(self.noise_mean)
        if not self.noise_std and not isclose(sigma, level, rel_tol=0.01):
            raise InputError(
                f"flow.sigma={sigma} found beside a score of the one level {level:.3g}; expected "
                f"flow.sigma={level:.3g}, score.noise_mean of its logarithm, or score.noise_std > 0"
            )

    def levels(self, sigma: float) -> tuple[float, float]:
        """Those within three standard deviations of training's, and ``sigma``."""
        lowest, widest = (exp(self.noise_mean + k * self.noise_std) for k in (-3, 3))
        return (min(sigma, lowest), max(sigma, widest)) if self.noise_std else (sigma, sigma)

    @abstractmethod
    def network_output(
        self, x: Float[Tensor, "batch *shape"], sigma: Float[Tensor, "#batch *ones"]
    ) -> Float[Tensor, "batch *shape"]:
        """The preconditioned network ``F``, whose training target has unit variance."""

    def potential(
        self, x: Float[Tensor, "batch *shape"], sigma: Float[Tensor, "#batch *ones"]
    ) -> Float[Tensor, " batch"]:
        """The scalar network ``Phi`` of a conservative score, which ``UNetScore`` never is."""
        raise NotImplementedError

    def _level(self, sigma: Float[Tensor, "#batch *ones"]) -> Float[Tensor, "#batch *ones"]:
        """``log sigma``, standardised as in training; 0 for a single level."""
        if not self.noise_std:
            return torch.zeros_like(sigma)
        return (sigma.log() - self.noise_mean) / self.noise_std

    def energy(self, x: Float[Tensor, "batch *shape"], sigma: Sigma) -> Float[Tensor, " batch"]:
        """Energy ``E(x; sigma)``, up to a constant, with ``s = -grad E``.

        Raises ``InputError`` for a score that is not conservative.
        """
        if not self.conservative:
            raise InputError(
                "score.conservative=false has no energy; expected score.conservative=true"
            )
        sigma = column(sigma, x)
        parabola = (x**2).flatten(1).sum(1, keepdim=True) / (2 * (1 + sigma**2)).flatten(1)
        return self.potential(x, sigma) / sigma.flatten() + parabola.squeeze(1)

    def forward(
        self, x: Float[Tensor, "batch *shape"], sigma: Sigma
    ) -> Float[Tensor, "batch *shape"]:
        sigma = column(sigma, x)
        variance = 1 + sigma**2
        return self.network_output(x, sigma) / (sigma * variance.sqrt()) - x / variance

    def denoising_error(
        self,
        clean: Float[Tensor, "batch *shape"],
        eps: Float[Tensor, "batch *shape"],
        level: Float[Tensor, "batch 1"],
    ) -> Float[Tensor, " batch"]:
        """``|D(x; sigma) - x_0|^2 / (d c_out^2)`` of each state ``x = x_0 + sigma eps``.

        ``clean`` are the states ``x_0``; ``eps`` and ``level`` are standard normal draws, with
        ``log sigma = noise_mean + noise_std level``. By the weight ``1 / c_out^2`` the target of
        the network has unit variance at every noise level.
        """
        sigma = column(torch.exp(self.noise_mean + self.noise_std * level[:, 0]), clean)
        noised = clean + sigma * eps
        target = (clean - noised / (1 + sigma**2)) * (1 + sigma**2).sqrt() / sigma
        return (self.network_output(noised, sigma) - target).square().flatten(1).mean(1)
