"""Direction of time of a field that the condition leaves open (method section 1).

The condition holds for ``-v`` if it holds for ``v``. An attractor attracts: there the mean
divergence ``E div v`` of the true dynamics is negative, and that fixes the sign. A field that keeps
a smooth density has ``E div v = 0``, and its orientation is undetermined.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

DECISIVE_STANDARD_ERRORS = 4.0
"""Standard errors by which a mean divergence must differ from zero to fix the sign."""


@dataclass(frozen=True)
class Orientation:
    """Mean divergence ``E div v`` of a field, in inverse transit times, and its standard error."""

    divergence: float
    error: float

    @property
    def determined(self) -> bool:
        """Whether the mean divergence differs from zero beyond its error."""
        return abs(self.divergence) > DECISIVE_STANDARD_ERRORS * self.error

    @property
    def sign(self) -> int:
        """Factor, 1 or -1, that makes the field contract; 1 if the sign is undetermined."""
        return -1 if self.determined and self.divergence > 0 else 1


def orientation(
    divergence: Float[Tensor, " n"], fit: Float[Tensor, " draws"] | None = None
) -> Orientation:
    """Orientation of a field from its divergence at ``n`` states.

    For a fitted field, ``fit`` holds draws of the error that the fit makes in the mean divergence;
    their variance is added to that of the mean over states.
    """
    variance = divergence.var() / len(divergence)
    if fit is not None:
        variance = variance + fit.var()
    return Orientation(float(divergence.mean()), float(torch.sqrt(variance)))
