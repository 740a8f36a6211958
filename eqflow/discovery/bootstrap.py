"""Sampling error of a library field: the one-step bootstrap.

Refitting to each resample is replaced by one Gauss-Newton step from the fit, which is linear in the
resampled moments: draws cost one matrix product.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.data import group_sums
from eqflow.discovery.gmm import Minimum, speed_fixed
from eqflow.runtime import Draws, generator
from eqflow.stationarity import Form


def influence(form: Form, found: Minimum) -> Float[Tensor, "n support"]:
    """Change of the unknowns, times ``n``, that each state of the sample makes."""
    covariance, h = form.covariance(found.xi)
    covariance.diagonal().add_(found.ridge)
    root = torch.linalg.cholesky(covariance)
    white = torch.linalg.solve_triangular(root, form.mix.T, upper=False)
    fixed = speed_fixed(form, found.xi, found.support, found.hessian) / form.total
    return -(h - h.mean(0)) @ torch.linalg.solve(fixed, found.slopes.T @ white).T


def draws(
    effects: Float[Tensor, "n k"],
    total: float,
    count: int = 400,
    groups: Int[Tensor, " n"] | None = None,
    seed: int = 0,
) -> Float[Tensor, "count k"]:
    """Bootstrap errors of means over ``total`` states with these effects.

    Exponential weights of mean one (Rubin 1981) are drawn for snapshots, or whole ``groups``.
    """
    size, effects = len(effects), group_sums(effects, groups)
    draw = generator(seed, Draws.BOOTSTRAP)
    shape = (count, len(effects))
    weights = -torch.rand(shape, generator=draw, dtype=torch.double).log().to(effects.device)
    return (weights - 1) @ effects / (size * total) ** 0.5
