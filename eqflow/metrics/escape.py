"""How many simulated states have left the data."""

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from eqflow.simulate import inside


class Escaped(Metric):
    """Fraction of states that are non-finite or beyond ``radius`` (method section 8)."""

    total: Tensor
    count: Tensor

    def __init__(self, radius: float) -> None:
        super().__init__()
        self.radius = radius
        self.add_state("total", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, x: Float[Tensor, "batch *shape"]) -> None:
        self.total += len(x)
        self.count += (~inside(x, self.radius)).sum()

    def compute(self) -> Float[Tensor, ""]:
        return self.count / self.total
