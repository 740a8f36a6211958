"""Preservation of a distribution: distances between simulated and held-out states.

Metrics of torchmetrics, which gather the states of all processes (method section 8).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import MeanMetric, Metric
from torchmetrics.utilities import dim_zero_cat

from eqflow.metrics.kernel import mmd2
from eqflow.metrics.transport import sinkhorn_divergence, sliced_w2
from eqflow.simulate import within_radius


class TwoSample(Metric):
    """Base of distances between simulated and reference states.

    A state farther than ``radius`` from the origin, in standardised units, has escaped.
    """

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
        """Simulated states, a mask of those that did not escape, and reference states."""
        simulated = dim_zero_cat(self.simulated)
        return simulated, within_radius(simulated, self.radius), dim_zero_cat(self.reference)


class MMD2(TwoSample):
    """Unbiased ``MMD^2`` with a Gaussian kernel; escaped states count with kernel 0."""

    def __init__(self, radius: float, bandwidth: float) -> None:
        super().__init__(radius)
        self.bandwidth = bandwidth

    def compute(self) -> Float[Tensor, ""]:
        simulated, kept, reference = self.samples()
        return mmd2(simulated, reference, self.bandwidth, kept)


class SlicedW2(TwoSample):
    """Sliced Wasserstein-2 distance of the states that did not escape; NaN if all did."""

    def compute(self) -> Float[Tensor, ""]:
        simulated, kept, reference = self.samples()
        return sliced_w2(simulated[kept], reference)


class SinkhornDivergence(TwoSample):
    """Sinkhorn divergence of the first ``n`` states that did not escape; NaN if all did."""

    def __init__(self, radius: float, n: int = 256) -> None:
        super().__init__(radius)
        self.n = n

    def compute(self) -> Float[Tensor, ""]:
        simulated, kept, reference = self.samples()
        if not kept.any():
            return torch.tensor(torch.nan)
        return sinkhorn_divergence(simulated[kept][: self.n], reference[: self.n])


class Escaped(MeanMetric):
    """Fraction of states that are not finite or farther than ``radius`` from the origin."""

    def __init__(self, radius: float) -> None:
        super().__init__()
        self.radius = radius

    def update(self, x: Float[Tensor, "batch *shape"]) -> None:  # type: ignore[override]
        super().update((~within_radius(x, self.radius)).float())
