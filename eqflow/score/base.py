"""What every estimator of the score offers."""

from jaxtyping import Float
from torch import Tensor, nn

Sigma = float | Float[Tensor, " batch"]


class Score(nn.Module):
    """Score ``s(x, sigma) = grad log p_sigma(x)`` of the smoothed law ``p * N(0, sigma^2 I)``.

    States and score are in standardised units, ``(batch, *shape)``.
    """

    def forward(
        self, x: Float[Tensor, "batch *shape"], sigma: Sigma
    ) -> Float[Tensor, "batch *shape"]:
        raise NotImplementedError

    def denoise(
        self, x: Float[Tensor, "batch *shape"], sigma: float
    ) -> Float[Tensor, "batch *shape"]:
        """Expected clean state ``E[x_0 | x] = x + sigma^2 s(x, sigma)`` (Tweedie's formula)."""
        return x + sigma**2 * self(x, sigma)
