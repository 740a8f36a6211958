"""Fields that need no training: linear maps of the score, and decay to the mean.

``v = A s`` with a constant antisymmetric ``A`` has ``v . s = 0`` always, and ``div v = 0`` when the
score is a gradient: it preserves ``p_sigma`` (the paper's training-free flow). In three dimensions
it also conserves ``n . x`` for the null vector ``n`` of ``A``, hence is never chaotic.
"""

from jaxtyping import Float
from torch import Tensor

from eqflow.fields.base import VelocityField
from eqflow.score import Score


class ScoreMap(VelocityField):
    """``v(x) = M s(x, sigma)`` with a constant matrix ``M`` over the coordinates, ``(d, d)``."""

    centred = False

    def __init__(
        self, shape: tuple[int, ...], matrix: Float[Tensor, "dim dim"], score: Score, sigma: float
    ) -> None:
        super().__init__(shape)
        self.score, self.sigma = score, sigma
        self.register_buffer("matrix", matrix)

    def unscaled(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        return (self.score(x, self.sigma).flatten(1) @ self.matrix.T).view_as(x)


class MinusX(VelocityField):
    """``v(x) = -x``: collapse towards the mean, a null."""

    centred = False

    def unscaled(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        return -x
