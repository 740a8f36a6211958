"""Fields that need no training: linear maps of the score, and decay to the mean.

``v = A s`` with a constant antisymmetric ``A`` has ``v . s = 0`` always, and ``div v = 0`` when the
score is a gradient: it preserves ``p_sigma`` (the paper's training-free flow). In three dimensions
it also conserves ``n . x`` for the null vector ``n`` of ``A``, hence is never chaotic.
"""

from jaxtyping import Float
from torch import Tensor

from eqflow.fields.base import VelocityField
from eqflow.fields.convolution import random_kernel, skew_kernel
from eqflow.score import Score


class LinearInScore(VelocityField):
    """``v(x) = L s(x, sigma)`` with a constant linear map ``L``, which the families define."""

    centred = False

    def __init__(self, shape: tuple[int, ...], score: Score, sigma: float) -> None:
        super().__init__(shape)
        self.score, self.sigma = score, sigma

    def map(self, s: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        """``L s``."""
        raise NotImplementedError

    def unscaled(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        return self.map(self.score(x, self.sigma))

    def given(
        self, x: Float[Tensor, "batch *shape"], score: Float[Tensor, "batch *shape"]
    ) -> Float[Tensor, "batch *shape"]:
        return self.scale * (self.map(score) - self.mean)


class ScoreMap(LinearInScore):
    """``v(x) = M s(x, sigma)`` with a constant matrix ``M`` over the coordinates, ``(d, d)``."""

    matrix: Tensor

    def __init__(
        self, shape: tuple[int, ...], matrix: Float[Tensor, "dim dim"], score: Score, sigma: float
    ) -> None:
        super().__init__(shape, score, sigma)
        self.register_buffer("matrix", matrix)

    def map(self, s: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        return (s.flatten(1) @ self.matrix.T).view_as(s)


def random_matrix(dim: int, seed: int) -> Float[Tensor, "dim dim"]:
    """Gaussian matrix, the same for the same seed."""
    return random_kernel(dim, seed, radius=0)[:, :, 0, 0]


def skew_matrix(dim: int, seed: int) -> Float[Tensor, "dim dim"]:
    """Antisymmetric Gaussian matrix ``(R - R^T) / sqrt(2)``."""
    return skew_kernel(dim, seed, radius=0)[:, :, 0, 0]


class MinusX(VelocityField):
    """``v(x) = -x``: collapse towards the mean, a null."""

    centred = False

    def unscaled(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        return -x
