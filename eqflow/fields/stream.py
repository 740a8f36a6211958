"""Stream fields: velocity fields that preserve a distribution exactly, from a network.

``v = Q s + div Q`` with ``Q(x)`` antisymmetric and ``(div Q)_i = sum_j d_j Q_ij`` (Ma, Chen & Fox
2015, arXiv 1506.04696). Since ``div div Q = 0`` its residual is
``1/2 sum_ij Q_ij (d_i s_j - d_j s_i)``: zero, whatever the network, when ``s`` is a gradient.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.errors import InputError
from eqflow.fields.base import VelocityField
from eqflow.nn import MLP
from eqflow.score import Score


class Stream(VelocityField):
    """Stream field ``v(x) = Q(x) s(x, sigma) + div Q(x)`` of vectors, ``Q`` antisymmetric.

    ``Q`` is a perceptron of the state: its ``d (d - 1) / 2`` outputs are the entries above the
    diagonal; ``gain`` multiplies
    the first layer's initial weights, which follow torch's global seed. The divergence of ``Q`` is
    exact, by one forward pass with ``d`` tangents: a velocity costs ``d + 1`` passes and a score.
    Under the distribution that the score belongs to, ``E v = 0``: no mean is subtracted.
    """

    centred = False
    pairs: Int[Tensor, "2 pairs"]

    def __init__(
        self,
        shape: tuple[int, ...],
        score: Score,
        sigma: float,
        width: int = 64,
        depth: int = 3,
        gain: float = 1.0,
    ) -> None:
        super().__init__(shape)
        if len(shape) != 1:
            raise InputError(
                f"flow=stream takes vectors of shape (d,), found snapshots of shape {shape}; "
                "expected flow=skew for images"
            )
        self.score, self.sigma = score, sigma
        pairs = torch.triu_indices(self.dim, self.dim, 1)
        self.register_buffer("pairs", pairs, persistent=False)
        self.network = MLP(self.dim, pairs.shape[1], width, depth)
        self.network.sharpen_(gain)

    def unscaled(self, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        return self._flow(x, self.score(x, self.sigma))

    def given(
        self, x: Float[Tensor, "batch dim"], score: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, "batch dim"]:
        return self.scale * self._flow(x, score)

    def _flow(self, x: Tensor, score: Tensor) -> Float[Tensor, "batch dim"]:
        basis = torch.eye(self.dim, dtype=x.dtype, device=x.device)[:, None, :]
        q, slopes = self.network.pushforward(x, basis)
        # [j, b, k]: what pair k would give to the velocity if j were its second coordinate
        parts = q * score.T[:, :, None] + slopes
        first, second = self.pairs
        k = torch.arange(len(first), device=x.device)
        gained, lost = parts[second, :, k].T, parts[first, :, k].T
        return torch.zeros_like(x).index_add(1, first, gained).index_add(1, second, -lost)

    def matrix(self, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim dim"]:
        """The antisymmetric matrix ``Q(x)``."""
        upper = x.new_zeros(len(x), self.dim, self.dim)
        upper[:, *self.pairs] = self.network(x)
        return upper - upper.mT
