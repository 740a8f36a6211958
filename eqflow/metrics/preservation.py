"""Distances between simulated and held-out states, as synchronised metrics (method section 8)."""

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from eqflow.metrics.kernel import mmd2
from eqflow.metrics.transport import sinkhorn_divergence, sliced_w2
from eqflow.simulate import within_radius


class TwoSample(Metric):
    """Keeps simulated and reference states of every process; ``radius`` bounds the data."""

    simulated: list[Tensor]
    reference: list[Tensor]

    def __init__(self, radius: float) -> None:
        super().__init__()
        self.radius = radius
        self.add_state("simulated", [], dist_reduce_fx="cat")
        self.add_state("reference", [], dist_reduce_fx="cat")

    def update(
        self, simulated: Float[Tensor, "n *shape"], reference: Float[Tensor, "m *shape"]
    ) -> None:
        self.simulated.append(simulated)
        self.reference.append(reference)

    def samples(self) -> tuple[Tensor, Tensor, Tensor]:
        """Simulated states, which of them stayed, and the reference."""
        simulated = dim_zero_cat(self.simulated)
        return simulated, within_radius(simulated, self.radius), dim_zero_cat(self.reference)


class MMD2(TwoSample):
    """Unbiased ``MMD^2``; escaped states stay in it with kernel 0."""

    def __init__(self, radius: float, bandwidth: float) -> None:
        super().__init__(radius)
        self.bandwidth = bandwidth

    def compute(self) -> Float[Tensor, ""]:
        simulated, kept, reference = self.samples()
        return mmd2(simulated, reference, self.bandwidth, kept)


class SlicedW2(TwoSample):
    """Sliced Wasserstein-2 distance of the states that stayed; NaN when none did."""

    def compute(self) -> Float[Tensor, ""]:
        simulated, kept, reference = self.samples()
        return sliced_w2(simulated[kept], reference)


class SinkhornDivergence(TwoSample):
    """Sinkhorn divergence of the first ``n`` states that stayed; NaN when none did."""

    def __init__(self, radius: float, n: int = 256) -> None:
        super().__init__(radius)
        self.n = n

    def compute(self) -> Float[Tensor, ""]:
        simulated, kept, reference = self.samples()
        if not kept.any():
            return torch.tensor(torch.nan)
        return sinkhorn_divergence(simulated[kept][: self.n], reference[: self.n])


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
        self.count += (~within_radius(x, self.radius)).sum()

    def compute(self) -> Float[Tensor, ""]:
        return self.count / self.total
