"""Hotelling's test of stationarity, on snapshots that were not used to make the field.

The test looks at a few moments ``E[v . grad phi]``, rotated to the principal directions of their
centred covariance: the covariance of as many moments as a fit uses cannot be estimated well enough
for the test to hold its level (method section 6). ``benchmarks/calibration.py`` measures how many
moments hold it, and what they detect.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.data import group_sums
from eqflow.errors import InputError
from eqflow.stationarity.functions import FourierFunctions, RandomWaves
from eqflow.stationarity.images.functions import LocalFunctions
from eqflow.text import aligned

MAX_RANK = 60
"""Largest number of moments that are tested together."""


SAFE_RANK = 10
"""Number of moments for which five observations each suffice; more moments need fifty each."""


MIN_UNITS = 5
"""Smallest number of observations, independent snapshots or groups, that a test accepts."""


@dataclass(frozen=True, repr=False)
class Stationarity:
    """Result of a test whether a field keeps the distribution of snapshots.

    ``effect_size`` estimates ``g . C^-1 g``, the squared mean moments ``g`` in units of their
    covariance ``C`` over snapshots; its expectation does not depend on the number of snapshots.
    With enough snapshots every field that is only nearly stationary has a small ``p_value``: the
    effect size says by how much it misses. The test looked at ``rank`` moments and had ``units``
    observations, independent snapshots or groups.
    """

    p_value: float
    effect_size: float
    rank: int
    units: int

    def __repr__(self) -> str:
        return aligned(
            {
                "p-value": f"{self.p_value:.2g}",
                "effect size": f"{self.effect_size:.2g}",
                "moments": f"{self.rank}",
                "observations": f"{self.units:,}",
            }
        )


def hotelling(
    velocity: Float[Tensor, "n *shape"],
    z: Float[Tensor, "n *shape"],
    functions: RandomWaves,
    groups: Int[Tensor, " n"] | None = None,
    rank: int | None = None,
) -> Stationarity:
    """Test of ``E[v . grad phi] = 0`` for a field with values ``velocity`` at the states ``z``.

    States and velocities are standardised. Snapshots with the same number in ``groups`` are
    correlated, and their sum counts as one observation. ``rank`` limits the number of moments.
    Raises ``InputError`` for fewer than ``MIN_UNITS`` observations.

    Reference: Hotelling (1931), The generalization of Student's ratio.
    """
    return zero_mean_test(functions.moments(velocity, z) * moment_weights(functions), groups, rank)


def moment_weights(functions: RandomWaves) -> Float[Tensor, " functions"]:
    """Weights ``1 / (|w| sqrt(1 + |w|^2))`` of the moments in the test.

    ``1 / |w|`` scales a function to unit gradient. The other factor favours functions that are
    smooth over a standard deviation, which detect more. Still smoother functions would make the
    moments polynomials of the state, with tails too heavy for the test to hold its level.
    """
    squares = functions.frequencies.square().sum(1)
    return (squares * (1 + squares)).rsqrt()


def zero_mean_test(
    moments: Float[Tensor, "n functions"],
    groups: Int[Tensor, " n"] | None = None,
    rank: int | None = None,
    fit: Float[Tensor, "functions functions"] | None = None,
) -> Stationarity:
    """Hotelling's test of mean zero, for the ``moments`` of each snapshot.

    The principal directions are those of the moments as they are given, largest first; see
    :func:`moment_weights`. For a field that was fitted to other snapshots, ``fit`` is the
    covariance that the errors of its coefficients give to the mean moments. Without it a true field
    would be rejected too often, the more so the more unknowns it has. Raises ``InputError`` for
    fewer than ``MIN_UNITS`` observations.
    """
    h = group_sums(moments, groups)
    units = len(h)
    if units < MIN_UNITS:
        raise InputError(
            f"stationarity: {units} independent snapshots or groups found; expected at least "
            f"{MIN_UNITS}"
        )
    rank = min(rank or MAX_RANK, _largest_rank(units), h.shape[1])
    mean = h.mean(0)
    covariance = (h - mean).T @ (h - mean) / (units - 1)
    variances, axes = (part[..., -rank:] for part in torch.linalg.eigh(covariance))
    rotated = variances.diag()
    if fit is not None:
        size = len(moments) / units  # means are those of sums over groups
        rotated = rotated + units * size**2 * axes.T @ fit @ axes
    distance = float(mean @ axes @ torch.linalg.solve(rotated, axes.T @ mean))
    return Stationarity(
        p_value=_tail(distance * units, rank, units),
        effect_size=distance * (units - rank - 2) / (units - 1) - rank / units,
        rank=rank,
        units=units,
    )


def _largest_rank(units: int) -> int:
    return min(MAX_RANK, max(SAFE_RANK, units // 50), units // 5)


def _tail(statistic: float, rank: int, units: int) -> float:
    """Probability that Hotelling's ``T^2`` of ``rank`` moments exceeds ``statistic`` by chance.

    ``T^2 (units - rank) / (rank (units - 1))`` has the F distribution with ``rank`` and
    ``units - rank`` degrees of freedom.
    """
    from scipy.stats import f

    return float(f.sf(statistic * (units - rank) / (rank * (units - 1)), rank, units - rank))


def functions_for(z: Float[Tensor, "n dim *grid"], seed: int = 0) -> RandomWaves:
    """Test functions for standardised vectors or images ``z``, drawn by ``seed``."""
    return (FourierFunctions if z.ndim == 2 else LocalFunctions).of(z, seed=seed)
