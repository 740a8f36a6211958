"""What Lyapunov exponents say: chaos, contraction, the dimension of what trajectories fill."""

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from eqflow.metrics.growth import Growth

SIGNIFICANT = 3.0
"""Errors by which an exponent must be above what a shear reads to be chaos."""


class LyapunovSpectrum(Metric):
    """Mean exponents over the trajectories of every process that stayed.

    Computes ``exponents`` and their standard ``errors`` from the spread over trajectories, largest
    first and per unit of time, the share that ``escaped`` and the ``transit_time`` along the
    trajectories; NaN where none, or for errors but one, stayed. ``positive`` is the share whose
    largest exponent is above what a shear reads by ``SIGNIFICANT`` of its errors, and ``chaotic``
    is 1 where the mean of all is by as many of its own.
    """

    found: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("found", [], dist_reduce_fx="cat")

    def update(self, growth: Growth) -> None:
        resolution = torch.full_like(growth.speed, growth.resolution)
        columns = torch.stack([growth.errors, resolution, growth.speed], 1)
        self.found.append(torch.cat([columns, growth.exponents], 1))

    def compute(self) -> dict[str, Tensor]:
        found = dim_zero_cat(self.found)
        stayed = found[found[:, 1:].isfinite().all(1)]  # a short run has no errors of its own
        (errors, resolution, speed), exponents = stayed[:, :3].T, stayed[:, 3:]
        n, unknown = len(stayed), torch.full_like(found[0, 3:], torch.nan)
        spread = exponents.std(0) if n > 1 else unknown
        # each is too large: short blocks for the frame's turning, the spread if orbits differ
        error = errors.fmin(spread[0])
        positive = exponents[:, 0] - SIGNIFICANT * error > resolution
        least = exponents[:, 0].mean() - SIGNIFICANT * spread[0] / n**0.5
        return {
            "exponents": exponents.mean(0),
            "errors": spread / n**0.5,
            "positive": positive.double().mean(),
            "chaotic": (least > resolution.mean()).where(least.isfinite(), torch.nan),
            "escaped": torch.tensor(1 - n / len(found)),
            "transit_time": speed.mean().rsqrt(),
        }


def kaplan_yorke(exponents: Float[Tensor, " dim"]) -> float:
    """Dimension ``j + (l_1 + ... + l_j) / |l_{j+1}|`` with the largest ``j`` of sum >= 0.

    Kaplan and Yorke 1979. 0 where all exponents are negative, their number where the sum of all is
    not.
    """
    ordered = exponents.sort(descending=True).values
    sums = ordered.cumsum(0)
    j = int((sums >= 0).cumprod(0).sum())
    if j in (0, len(ordered)):
        return float(j)
    return j + (sums[j - 1] / ordered[j].abs()).item()
