"""Sampling errors of a fit, from the influence of each observation on it (method section 6).

With many moments the statistic ``J`` is less curved around its minimum than Gauss-Newton's second
derivative says: part of that is the noise of the slopes, squared. The errors follow from the exact
second derivative ``H`` and the variance ``V`` of the gradient as ``H^-1 V H^-1``.

Reference: Newey & Windmeijer (2009), Generalized method of moments with many weak moment
conditions, theorem 3.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.discovery.gmm import Minimum, fixed_speed, point
from eqflow.stationarity import Form

MIN_CURVATURE = 0.1
"""Least ratio of the exact second derivative to Gauss-Newton's, below which it is not known."""


def curvature(form: Form, minimum: Minimum) -> Float[Tensor, "support support"]:
    """Half the exact second derivative of ``J`` in the support, at fixed speed.

    With ``u = C^-1 g``, and ``h_k`` the moments of unknown ``k``, it is ``N ((D - E)^T C^-1 (D - E)
    - K)``: ``D`` are the slopes of Gauss-Newton, ``E_k`` is the covariance of ``h_k`` with ``h .
    u`` and ``K_kl`` that of ``h_k . u`` with ``h_l . u``. Directions in which it is less than
    ``MIN_CURVATURE`` of Gauss-Newton's get that much.
    """
    here, support = point(form, minimum.xi, minimum.ridge), minimum.support
    weights = here.h @ (form.mix @ here.u)
    turned = form.mix.T @ form.weighted_jacobian(weights - weights.mean())[:, support]
    slopes = minimum.slopes - torch.linalg.solve_triangular(here.root, turned, upper=False)
    along = form.moments_along(here.u)[:, support]
    exact = form.effective_size * (slopes.T @ slopes - _covariance(along))
    plain, exact = (
        fixed_speed(form, minimum.xi, support, hessian) for hessian in (minimum.hessian, exact)
    )
    root = torch.linalg.cholesky(plain)
    ratios, axes = torch.linalg.eigh(_congruent(root, exact))
    axes = root @ axes
    return axes * ratios.clamp_min(MIN_CURVATURE) @ axes.T


def _covariance(rows: Float[Tensor, "n k"]) -> Float[Tensor, "k k"]:
    centred = rows - rows.mean(0)
    return centred.T @ centred / len(rows)


def _congruent(root: Tensor, matrix: Tensor) -> Tensor:
    """``R^-1 A R^-T`` for a lower triangular ``R``."""
    half = torch.linalg.solve_triangular(root, matrix, upper=False)
    return torch.linalg.solve_triangular(root, half.T, upper=False)


@dataclass(frozen=True, eq=False)
class Influence:
    """What each observation does to the unknowns of a fit.

    Attributes:
        effects: Change of the unknowns at fixed speed by each observation, times their number.
        covariance: Sampling covariance of the unknowns.
    """

    effects: Float[Tensor, "n support"]
    covariance: Float[Tensor, "support support"]


def influence(form: Form, minimum: Minimum) -> Influence:
    """Influence of the observations of a form on the unknowns of a fit to it."""
    here, exact = point(form, minimum.xi, minimum.ridge), curvature(form, minimum)
    white = torch.linalg.solve_triangular(here.root, form.mix.T, upper=False)
    step = torch.linalg.solve(exact / form.effective_size, minimum.slopes.T @ white)
    effects = -(here.h - here.h.mean(0)) @ step.T
    return Influence(effects, _covariance(effects) / form.effective_size)
