"""Sampling errors of the coefficients of a library, by a one-step bootstrap (method section 6).

A refit to every resample is replaced by one Gauss-Newton step from the fit. It is linear in the
resampled moments, so that all draws together cost one matrix product.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.data import group_sums
from eqflow.discovery.gmm import Minimum, fixed_speed
from eqflow.runtime import Draws, generator
from eqflow.stationarity import Form


def influence(form: Form, minimum: Minimum) -> Float[Tensor, "n support"]:
    """Change of the unknowns, times ``n``, by each of the ``n`` observations of a form."""
    covariance, h = form.covariance(minimum.xi)
    covariance.diagonal().add_(minimum.ridge)
    root = torch.linalg.cholesky(covariance)
    white = torch.linalg.solve_triangular(root, form.mix.T, upper=False)
    fixed = fixed_speed(form, minimum.xi, minimum.support, minimum.hessian, damping=0.0)
    step = torch.linalg.solve(fixed / form.effective_size, minimum.slopes.T @ white)
    return -(h - h.mean(0)) @ step.T


def draws(
    effects: Float[Tensor, "n k"],
    total: float,
    count: int = 400,
    groups: Int[Tensor, " n"] | None = None,
    seed: int = 0,
) -> Float[Tensor, "count k"]:
    """Bootstrap errors of means over ``total`` observations, from the ``effects`` of ``n`` of them.

    Exponential weights of mean one are drawn for each observation, or for each of ``groups``.

    Reference: Rubin (1981), The Bayesian bootstrap.
    """
    size, effects = len(effects), group_sums(effects, groups)
    draw = generator(seed, Draws.BOOTSTRAP)
    shape = (count, len(effects))
    weights = -torch.rand(shape, generator=draw, dtype=torch.double).log().to(effects.device)
    return (weights - 1) @ effects / (size * total) ** 0.5
