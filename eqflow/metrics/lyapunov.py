"""Mean Lyapunov exponents over trajectories, whether they show chaos, Kaplan-Yorke dimension."""

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from eqflow.metrics.growth import Growth

CHAOS_ERRORS = 3.0
"""Standard errors by which an exponent must exceed what a shear reads to be a sign of chaos."""


class LyapunovSpectrum(Metric):
    """Mean Lyapunov exponents over the trajectories of all processes that did not escape.

    ``compute`` returns

    - ``exponents`` and their standard ``errors`` from the spread over trajectories, both
      ``(dim,)``, largest first, per unit of time;
    - ``positive``, the share of trajectories whose largest exponent exceeds
      :attr:`Growth.resolution` by ``CHAOS_ERRORS`` of its errors;
    - ``chaotic``, 1 where the mean of the largest exponents does so, else 0;
    - ``escaped``, the share of trajectories that escaped;
    - ``transit_time``, ``1 / sqrt(E|v|^2 / d)`` along the trajectories.

    All but ``escaped`` are NaN if every trajectory escaped, errors also if a single one is left.
    """

    rows: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, growth: Growth) -> None:
        resolution = torch.full_like(growth.speed, growth.resolution)
        columns = torch.stack([growth.errors, resolution, growth.speed], 1)
        self.rows.append(torch.cat([columns, growth.exponents], 1))

    def compute(self) -> dict[str, Tensor]:
        rows = dim_zero_cat(self.rows)
        stayed = rows[rows[:, 1:].isfinite().all(1)]  # a short run has no errors of its own
        (errors, resolution, speed), exponents = stayed[:, :3].T, stayed[:, 3:]
        n, unknown = len(stayed), torch.full_like(rows[0, 3:], torch.nan)
        spread = exponents.std(0) if n > 1 else unknown
        # each is too large: blocks as the frame turns, the spread where orbits differ
        error = errors.fmin(spread[0])
        positive = exponents[:, 0] - CHAOS_ERRORS * error > resolution
        least = exponents[:, 0].mean() - CHAOS_ERRORS * spread[0] / n**0.5
        return {
            "exponents": exponents.mean(0),
            "errors": spread / n**0.5,
            "positive": positive.double().mean(),
            "chaotic": (least > resolution.mean()).where(least.isfinite(), torch.nan),
            "escaped": torch.tensor(1 - n / len(rows)),
            "transit_time": speed.mean().rsqrt(),
        }


def kaplan_yorke(exponents: Float[Tensor, " dim"]) -> float:
    """Kaplan-Yorke dimension ``j + (l_1 + ... + l_j) / |l_{j+1}|`` (Kaplan and Yorke 1979).

    ``j`` is the largest number of exponents ``l`` whose sum is not negative; the dimension is 0 if
    all are negative and ``dim`` if the sum of all is not.

    >>> round(kaplan_yorke(torch.tensor([0.906, 0.0, -14.572])), 3)
    2.062
    """
    ordered = exponents.sort(descending=True).values
    sums = ordered.cumsum(0)
    j = int((sums >= 0).cumprod(0).sum())
    if j in (0, len(ordered)):
        return float(j)
    return j + (sums[j - 1] / ordered[j].abs()).item()
