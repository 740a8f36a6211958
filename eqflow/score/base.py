"""Interface of score estimators, and how far a score is from a gradient."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

Sigma = float | Float[Tensor, " batch"]
"""Noise level in standardised units: the same for all states, or of each its own."""


def column(sigma: Sigma, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "#batch *ones"]:
    """``sigma`` in the shape that broadcasts against states ``x``."""
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    return sigma.reshape(-1, *(1,) * (x.ndim - 1))


class Score(nn.Module, ABC):
    """Score ``s(x, sigma) = grad log p_sigma(x)`` of a smoothed distribution.

    ``p_sigma = p * N(0, sigma^2 I)`` is the distribution of states with noise ``sigma``. States and
    score are in standardised units, ``(batch, *shape)`` each.
    """

    any_canvas = True
    """Whether the score of an image of another height and width is known too."""

    @classmethod
    def build(
        cls, shape: tuple[int, ...], points: Float[Tensor, "points *shape"], **arguments: Any
    ) -> "Score":
        """A score for states of ``shape``; ``points`` are the standardised training snapshots."""
        return cls(shape, **arguments)

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "batch *shape"], sigma: Sigma
    ) -> Float[Tensor, "batch *shape"]:
        """The score at states ``x`` with noise ``sigma``."""

    def thinned(self, count: int) -> "Score":
        """A cheaper score for figures: one that is made of snapshots uses the first ``count``."""
        return self

    def check_level(self, sigma: float) -> None:
        """Raise ``InputError`` for a noise level ``sigma`` that this score is not made for."""

    def levels(self, sigma: float) -> tuple[float, float]:
        """Lowest and highest noise level that sampling at ``sigma`` may use; by default one."""
        return sigma, sigma

    def denoise(
        self, x: Float[Tensor, "batch *shape"], sigma: float
    ) -> Float[Tensor, "batch *shape"]:
        """Expected clean state ``E[x_0 | x] = x + sigma^2 s(x, sigma)`` (Tweedie's formula)."""
        return x + sigma**2 * self(x, sigma)


def asymmetry(score: Score, x: Float[Tensor, "batch dim"], sigma: Sigma) -> float:
    """``|J - J^T| / |J|`` of the score's Jacobian ``J``, root mean squares over states ``x``.

    It is 0 where the score is a gradient and at most 2, for a rotation. Takes ``d`` reverse passes.
    """
    pullback = torch.func.vjp(lambda x: score(x, sigma), x)[1]
    basis = torch.eye(x.shape[1]).to(x)
    jacobian = torch.stack([pullback(e.expand_as(x))[0] for e in basis], dim=1)
    return ((jacobian - jacobian.mT).norm() / jacobian.norm()).item()
