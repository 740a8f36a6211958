"""Orientation in time: an attractor attracts, so its mean divergence is negative."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

DECISIVE = 4.0
"""Standard errors by which the mean divergence must differ from zero."""


@dataclass(frozen=True)
class Orientation:
    """Mean divergence of a field as it was found, with its standard error.

    Stationarity is blind to the sign of a field. On raw data ``E div v < 0`` where the dynamics
    contract; a field that keeps a smooth density has ``E div v = 0``, and then the orientation is
    undetermined (method section 1).
    """

    divergence: float
    error: float

    @property
    def determined(self) -> bool:
        """Whether the data decide."""
        return abs(self.divergence) > DECISIVE * self.error

    @property
    def sign(self) -> int:
        """What to multiply the field by: 1 where the data do not decide."""
        return -1 if self.determined and self.divergence > 0 else 1


def orientation(
    divergence: Float[Tensor, " n"], fit: Float[Tensor, " draws"] | None = None
) -> Orientation:
    """From the divergence at states and, for a fitted field, draws of the error of its mean."""
    variance = divergence.var() / len(divergence)
    if fit is not None:
        variance = variance + fit.var()
    return Orientation(float(divergence.mean()), float(torch.sqrt(variance)))
