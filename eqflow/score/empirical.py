"""Score of the smoothed snapshots, in closed form.

``p_sigma = (1 / N) sum_i N(x_i, sigma^2 I)`` gives ``s(x) = sum_i w_i (x_i - x) / sigma^2`` with
``w = softmax_i(-|x - x_i|^2 / (2 sigma^2))`` (method section 3).
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.score.base import Score, Sigma, column


class EmpiricalScore(Score):
    """Closed-form score of the smoothed empirical measure of ``points``, of any shape.

    ``points`` are the snapshots, ``(points, *shape)``, standardised. At most ``max_pairs`` pairs of
    a query and a point are compared at once, so that memory is bounded whatever their number.

    >>> score = EmpiricalScore(torch.zeros(1, 2))
    >>> score(torch.ones(1, 2), 0.5)  # -x / sigma^2 of a single point at the origin
    tensor([[-4., -4.]])
    """

    points: Tensor
    any_canvas = False

    def __init__(self, points: Float[Tensor, "points *shape"], max_pairs: int = 10_000_000) -> None:
        super().__init__()
        self.max_pairs = max_pairs
        self.register_buffer("points", points.clone())

    @classmethod
    def build(
        cls, shape: tuple[int, ...], points: Float[Tensor, "points *shape"], **arguments: Any
    ) -> "EmpiricalScore":
        return cls(points, **arguments)

    def thinned(self, count: int) -> "EmpiricalScore":
        return EmpiricalScore(self.points[:count])

    def posterior_mean(
        self,
        x: Float[Tensor, "batch *shape"],
        sigma: Sigma,
        values: Float[Tensor, "points *shape"],
    ) -> Float[Tensor, "batch *shape"]:
        """``E[value(x_0) | x]`` at noised states ``x``, for ``values`` of the snapshots ``x_0``."""
        points, values = self.points.flatten(1), values.flatten(1)
        queries = x.flatten(1)
        variance = column(sigma, queries).square().expand(len(x), 1)
        rows = max(1, self.max_pairs // len(points))
        means = [
            torch.softmax(_closeness(query, points) / spread, dim=1) @ values
            for query, spread in zip(queries.split(rows), variance.split(rows), strict=True)
        ]
        return torch.cat(means).view_as(x)

    def forward(
        self, x: Float[Tensor, "batch *shape"], sigma: Sigma
    ) -> Float[Tensor, "batch *shape"]:
        return (self.posterior_mean(x, sigma, self.points) - x) / column(sigma, x) ** 2


def _closeness(x: Tensor, points: Tensor) -> Float[Tensor, "batch points"]:
    # -|x - x_i|^2 / 2 up to a term constant in i, which the softmax removes
    return x @ points.T - points.square().sum(1) / 2
