"""Ratios of expectations over states: relative residual, and cosine of two fields.

Metrics of torchmetrics, which add the sums of all processes before they divide (method section 8).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric


class RelativeResidual(Metric):
    """Relative residual ``E r^2 / E |v|^2`` with ``r = div v + v . s``: a ratio of means."""

    residual: Tensor
    speed: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("residual", "speed"):
            self.add_state(name, torch.zeros((), dtype=torch.double), dist_reduce_fx="sum")

    def update(self, r2: Float[Tensor, " batch"], v2: Float[Tensor, " batch"]) -> None:
        """Add a batch: the square ``r^2`` of the residual and ``|v|^2`` of each state."""
        self.residual += r2.double().sum()
        self.speed += v2.double().sum()

    def compute(self) -> Float[Tensor, ""]:
        return self.residual / self.speed


class Cosine(Metric):
    """Signed cosine ``<v, w>_p / (|v|_p |w|_p)`` of two fields, with ``<v, w>_p = E[v . w]``."""

    products: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("products", torch.zeros(3, dtype=torch.double), dist_reduce_fx="sum")

    def update(self, v: Float[Tensor, "batch *shape"], w: Float[Tensor, "batch *shape"]) -> None:
        v, w = v.double(), w.double()
        self.products += torch.stack([(v * w).sum(), (v * v).sum(), (w * w).sum()])

    def compute(self) -> Float[Tensor, ""]:
        return self.products[0] / (self.products[1] * self.products[2]).sqrt()
