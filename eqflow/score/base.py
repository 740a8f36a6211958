"""What every estimator of the score offers."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

Sigma = float | Float[Tensor, " batch"]


def column(sigma: Sigma, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "#batch *ones"]:
    """``sigma`` shaped to broadcast against states."""
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    return sigma.reshape(-1, *(1,) * (x.ndim - 1))


class Score(nn.Module):
    """Score ``s(x, sigma) = grad log p_sigma(x)`` of the smoothed law ``p * N(0, sigma^2 I)``.

    States and score are in standardised units, ``(batch, *shape)``.
    """

    def forward(
        self, x: Float[Tensor, "batch *shape"], sigma: Sigma
    ) -> Float[Tensor, "batch *shape"]:
        raise NotImplementedError

    def check_level(self, sigma: float) -> None:
        """Raise ``InputError`` for a noise that this score is not made for."""

    def denoise(
        self, x: Float[Tensor, "batch *shape"], sigma: float
    ) -> Float[Tensor, "batch *shape"]:
        """Expected clean state ``E[x_0 | x] = x + sigma^2 s(x, sigma)`` (Tweedie's formula)."""
        return x + sigma**2 * self(x, sigma)
