"""Score of the smoothed empirical measure, in closed form.

``p_sigma = (1 / N) sum_i N(x_i, sigma^2 I)`` gives ``s(x) = sum_i w_i (x_i - x) / sigma^2`` with
``w = softmax_i(-|x - x_i|^2 / (2 sigma^2))`` (method section 3).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.score.base import Score, Sigma, column


class EmpiricalScore(Score):
    """Closed-form score of the snapshots themselves, for any shape.

    ``points``: ``(N, *shape)``, standardised. Queries go in chunks of at most ``max_pairs`` pairs,
    so memory stays bounded whatever the number of snapshots.
    """

    points: Tensor
    any_canvas = False

    def __init__(self, points: Float[Tensor, "points *shape"], max_pairs: int = 10_000_000) -> None:
        super().__init__()
        self.max_pairs = max_pairs
        self.register_buffer("points", points.clone())

    def thinned(self, count: int) -> "EmpiricalScore":
        return EmpiricalScore(self.points[:count])

    def posterior_mean(
        self,
        x: Float[Tensor, "batch *shape"],
        sigma: Sigma,
        values: Float[Tensor, "points *shape"],
    ) -> Float[Tensor, "batch *shape"]:
        """``E[value(x_0) | x]`` for values attached to the snapshots."""
        points, values = self.points.flatten(1), values.flatten(1)
        queries = x.flatten(1)
        variance = column(sigma, queries).square().expand(len(x), 1)
        rows = max(1, self.max_pairs // len(points))
        means = [
            torch.softmax(_closeness(some, points) / spread, dim=1) @ values
            for some, spread in zip(queries.split(rows), variance.split(rows), strict=True)
        ]
        return torch.cat(means).view_as(x)

    def forward(
        self, x: Float[Tensor, "batch *shape"], sigma: Sigma
    ) -> Float[Tensor, "batch *shape"]:
        return (self.posterior_mean(x, sigma, self.points) - x) / column(sigma, x) ** 2


def _closeness(x: Tensor, points: Tensor) -> Float[Tensor, "batch points"]:
    # -|x - x_i|^2 / 2 up to a term constant in i, which the softmax removes
    return x @ points.T - points.square().sum(1) / 2
