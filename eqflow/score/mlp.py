"""Denoiser with EDM preconditioning (Karras et al. 2022, arXiv 2206.00364) for vectors.

With unit-variance data ``D(x; sigma) = c_skip x + c_out F(c_in x; sigma)``, where
``c_skip = 1 / (1 + sigma^2)``, ``c_out = sigma c_in`` and ``c_in = 1 / sqrt(1 + sigma^2)``, so that
``s = (D - x) / sigma^2 = -x / (1 + sigma^2) + F / (sigma sqrt(1 + sigma^2))``.

The conservative form takes ``F(u) = -grad_u Phi(u; sigma)`` with a scalar network ``Phi``: then
``s = -grad E`` with ``E = |x|^2 / (2 (1 + sigma^2)) + Phi(c_in x; sigma) / sigma``.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.mlp import MLP
from eqflow.score.base import Score, Sigma, column


class MLPScore(Score):
    """Noise-conditional perceptron score for vectors of shape ``(d,)``.

    ``conservative`` makes the score the gradient of an energy: symmetric Jacobian, so that skew
    flows preserve ``exp(-E)`` exactly (METHOD section 3). ``noise_mean`` and ``noise_std`` are
    those of the logarithm of the training noise, which is drawn log-normal. ``gain`` multiplies the
    first layer's initial weights on the state, which makes sharp edges of a support learnable.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int = 128,
        depth: int = 3,
        conservative: bool = True,
        noise_mean: float = -1.6,
        noise_std: float = 1.0,
        gain: float = 3.0,
    ) -> None:
        super().__init__()
        if len(shape) != 1:
            raise InputError(
                f"score=mlp takes vectors of shape (d,), found snapshots of shape {shape}"
            )
        self.conservative = conservative
        self.noise_mean, self.noise_std = noise_mean, noise_std
        (dim,) = shape
        outputs = 1 if conservative else dim
        self.network = MLP(dim + 1, outputs, width, depth, constant=not conservative)
        self.network.sharpen_(gain, dim)

    def _unit_inputs(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Unit-variance state and normalised log-noise, side by side."""
        level = (sigma.log() - self.noise_mean) / self.noise_std
        return torch.cat([x / (1 + sigma**2).sqrt(), level.expand(len(x), 1)], dim=1)

    def residual(
        self, x: Float[Tensor, "batch dim"], sigma: Float[Tensor, "#batch 1"]
    ) -> Float[Tensor, "batch dim"]:
        """The preconditioned network ``F``, whose training target has unit variance."""
        u = self._unit_inputs(x, sigma)
        if not self.conservative:
            return self.network(u)
        return -self.network.pullback(u, u.new_ones(1, 1))[:, :-1]

    def energy(self, x: Float[Tensor, "batch dim"], sigma: Sigma) -> Float[Tensor, " batch"]:
        """``E(x; sigma)`` up to a constant, with ``s = -grad E``; conservative scores only."""
        if not self.conservative:
            raise InputError(
                "score.conservative=false has no energy; expected score.conservative=true"
            )
        sigma = column(sigma, x)
        potential = self.network(self._unit_inputs(x, sigma)) / sigma
        return (potential + (x**2).sum(1, keepdim=True) / (2 * (1 + sigma**2))).squeeze(1)

    def forward(self, x: Float[Tensor, "batch dim"], sigma: Sigma) -> Float[Tensor, "batch dim"]:
        sigma = column(sigma, x)
        variance = 1 + sigma**2
        return self.residual(x, sigma) / (sigma * variance.sqrt()) - x / variance

    def denoising_error(
        self,
        clean: Float[Tensor, "batch dim"],
        eps: Float[Tensor, "batch dim"],
        level: Float[Tensor, "batch 1"],
    ) -> Float[Tensor, " batch"]:
        """``|D - x_0|^2 / (d c_out^2)`` per state: a unit-variance target at every noise level.

        ``eps`` and ``level`` are standard normal draws: the noise is ``sigma eps`` with
        ``log sigma = noise_mean + noise_std level``.
        """
        sigma = torch.exp(self.noise_mean + self.noise_std * level)
        noised = clean + sigma * eps
        target = (clean - noised / (1 + sigma**2)) * (1 + sigma**2).sqrt() / sigma
        return (self.residual(noised, sigma) - target).square().mean(1)
