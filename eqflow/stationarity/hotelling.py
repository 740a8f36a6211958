"""Test of stationarity of any field on snapshots that were not used to make it.

Few moments, rotated to the principal directions of their centred covariance: with as many moments
as a fit uses, the covariance cannot be estimated well enough for a test to hold its level
(method section 6). How many hold it, and what they notice: ``benchmarks/calibration.py``.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.data import group_sums
from eqflow.errors import InputError
from eqflow.stationarity.functions import FourierFunctions
from eqflow.stationarity.images.functions import LocalFunctions

MAX_RANK = 60
"""Largest number of moments that are tested together."""


SAFE_RANK = 10
"""Number of moments for which five observations each are enough; more need fifty each."""


MIN_UNITS = 5
"""Smallest number of independent snapshots, or of groups."""


@dataclass(frozen=True)
class Stationarity:
    """Whether a field keeps the law of snapshots as it is.

    ``effect_size`` is the squared mean of the moments over their covariance with its sampling part
    taken off: what remains with any amount of data. With enough data every field that is only
    nearly stationary is rejected, so look at both. ``rank`` moments, ``units`` independent
    snapshots or groups of them.
    """

    p_value: float
    effect_size: float
    rank: int
    units: int


def hotelling(
    velocity: Float[Tensor, "n *shape"],
    z: Float[Tensor, "n *shape"],
    functions: FourierFunctions | LocalFunctions,
    groups: Int[Tensor, " n"] | None = None,
    rank: int | None = None,
) -> Stationarity:
    """Hotelling's test of ``E[v . grad phi] = 0`` at standardised states ``z``.

    ``velocity`` are the field's values there; ``groups`` label snapshots that are correlated,
    several of one run, whose sums count as one observation. Raises ``InputError`` for too few
    snapshots.
    """
    return vanishing(functions.moments(velocity, z) * weights(functions), groups, rank)


def weights(functions: FourierFunctions | LocalFunctions) -> Float[Tensor, " functions"]:
    """What the moments of ``functions`` are multiplied by before their principal directions.

    Functions are scaled to unit gradient, and less if they vary within a standard deviation:
    smooth ones show more of what is wrong. Smoother still, moments become polynomials of the
    state, with tails too heavy for the test to hold its level.
    """
    squares = functions.frequencies.square().sum(1)
    return (squares * (1 + squares)).rsqrt()


def vanishing(
    moments: Float[Tensor, "n functions"],
    groups: Int[Tensor, " n"] | None = None,
    rank: int | None = None,
    fit: Float[Tensor, "functions k"] | None = None,
) -> Stationarity:
    """Hotelling's test of mean zero for the ``moments`` of each snapshot, however estimated.

    Moments that are larger come first: see ``weights``. Where the field was fitted to other
    snapshots, ``fit fit^T`` is the covariance of the mean moments that the errors of the fit make:
    without it a true law would be rejected too often, the more unknowns it has.
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
    spread = variances.diag()
    if fit is not None:
        root = axes.T @ fit * (len(moments) / units)  # means are those of sums over groups
        spread = spread + units * root @ root.T
    distance = float(mean @ axes @ torch.linalg.solve(spread, axes.T @ mean))
    return Stationarity(
        p_value=_tail(distance * units, rank, units),
        effect_size=distance * (units - rank - 2) / (units - 1) - rank / units,
        rank=rank,
        units=units,
    )


def _largest_rank(units: int) -> int:
    return min(MAX_RANK, max(SAFE_RANK, units // 50), units // 5)


def _tail(statistic: float, rank: int, units: int) -> float:
    """P(T^2 > statistic): Hotelling's ``T^2`` as an F variable with (rank, units - rank)."""
    from scipy.stats import f

    return float(f.sf(statistic * (units - rank) / (rank * (units - 1)), rank, units - rank))


def functions_for(
    z: Float[Tensor, "n dim *grid"], seed: int = 0
) -> FourierFunctions | LocalFunctions:
    """Test functions whose scales follow standardised states, drawn by ``seed``."""
    kind = FourierFunctions if z.ndim == 2 else LocalFunctions
    return kind.of(z, seed=seed)
