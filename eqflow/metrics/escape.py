"""Which simulated states have left the data."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric


def inside(x: Float[Tensor, "batch *shape"], radius: float) -> Bool[Tensor, " batch"]:
    """States that are finite and within ``radius`` of the origin, standardised units."""
    flat = x.flatten(1)
    return flat.isfinite().all(1) & (torch.linalg.vector_norm(flat, dim=1) <= radius)


class Escaped(Metric):
    """Fraction of states that are non-finite or beyond ``radius`` (METHOD section 8)."""

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
