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

    any_canvas = True
    """Whether the score of an image of another height and width is known too."""

    def forward(
        self, x: Float[Tensor, "batch *shape"], sigma: Sigma
    ) -> Float[Tensor, "batch *shape"]:
        raise NotImplementedError

    def thinned(self, count: int) -> "Score":
        """A cheaper score for figures: one that is made of snapshots uses the first ``count``."""
        return self

    def check_level(self, sigma: float) -> None:
        """Raise ``InputError`` for a noise that this score is not made for."""

    def denoise(
        self, x: Float[Tensor, "batch *shape"], sigma: float
    ) -> Float[Tensor, "batch *shape"]:
        """Expected clean state ``E[x_0 | x] = x + sigma^2 s(x, sigma)`` (Tweedie's formula)."""
        return x + sigma**2 * self(x, sigma)


def asymmetry(score: Score, x: Float[Tensor, "batch dim"], sigma: Sigma) -> float:
    """``|J - J^T| / |J|`` of the score's Jacobian, root mean squares over states; 0 of a gradient.

    At most 2, of a rotation. Takes ``d`` reverse passes.
    """
    pullback = torch.func.vjp(lambda x: score(x, sigma), x)[1]
    basis = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    jacobian = torch.stack([pullback(e.expand_as(x))[0] for e in basis], dim=1)
    return ((jacobian - jacobian.mT).norm() / jacobian.norm()).item()
