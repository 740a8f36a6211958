"""Trained score for vectors: a perceptron in the denoiser of :mod:`eqflow.score.trained`."""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.nn import MLP
from eqflow.score.trained import TrainedScore


class MLPScore(TrainedScore):
    """Score of vectors by a perceptron of ``depth`` layers that is told the noise level.

    ``conservative`` makes it minus the gradient of an energy ``E``: its Jacobian is symmetric, and
    skew and stream fields preserve ``exp(-E)`` exactly (method section 3). ``noise_mean`` and
    ``noise_std`` are those of :class:`TrainedScore`. ``gain`` multiplies the first layer's initial
    weights on the state, so that sharp edges of a distribution can be learned. Raises
    ``InputError`` for states that are no vectors.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int = 64,
        depth: int = 3,
        conservative: bool = True,
        noise_mean: float = -1.6,
        noise_std: float = 1.0,
        gain: float = 3.0,
    ) -> None:
        super().__init__(conservative, noise_mean, noise_std)
        if len(shape) != 1:
            raise InputError(
                f"score=mlp takes vectors of shape (d,), found snapshots of shape {shape}; "
                "expected score=conv for images"
            )
        (dim,) = shape
        outputs = 1 if conservative else dim
        self.network = MLP(dim + 1, outputs, width, depth, constant=not conservative)
        self.network.sharpen_(gain, dim)

    def _unit_inputs(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Unit-variance state and standardised log-noise, side by side, ``(batch, d + 1)``."""
        level = self._level(sigma).expand(len(x), 1)
        return torch.cat([x / (1 + sigma**2).sqrt(), level], dim=1)

    def network_output(
        self, x: Float[Tensor, "batch dim"], sigma: Float[Tensor, "#batch 1"]
    ) -> Float[Tensor, "batch dim"]:
        u = self._unit_inputs(x, sigma)
        if not self.conservative:
            return self.network(u)
        return -self.network.pullback(u, u.new_ones(1, 1))[:, :-1]

    def potential(
        self, x: Float[Tensor, "batch dim"], sigma: Float[Tensor, "#batch 1"]
    ) -> Float[Tensor, " batch"]:
        return self.network(self._unit_inputs(x, sigma)).squeeze(1)
