"""Least weak-form statistic of a library, by the generalised method of moments (GMM).

``J(xi) = N g . C(xi)^-1 g`` weighs the moments ``g = G xi`` by the inverse of their covariance at
the same field ``xi`` (method section 5). It does not change with the speed of the field, and has
local minima: :mod:`eqflow.discovery.initial` says where to start.

Reference: Hansen, Heaton & Yaron (1996), Finite-sample properties of some alternative GMM
estimators (the continuously updated one).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.runtime.progress import tell
from eqflow.stationarity import Form

COVARIANCE_RIDGE = 1e-2
"""Ridge on the covariance of the moments, whose entries are of order one.

Without it the smallest variances, which are the least well known, would weigh most, and there would
be many local minima. It costs little precision and makes the statistic slightly too small."""


JITTER = 1e-10
"""Share of the diagonal that is added to a second derivative before it is inverted."""


@dataclass(frozen=True, eq=False)
class Minimum:
    """A library field at which the statistic ``J`` is least, and the expansion of ``J`` around it.

    Attributes:
        xi: All unknowns, at unit speed; zero outside the ``support``.
        support: Indices of the unknowns that were free.
        statistic: ``J`` of ``moment_count`` moments.
        hessian: Half the second derivative of ``J`` in the support, by Gauss-Newton.
        gradient: Half the gradient of ``J`` in the support.
        slopes: Derivatives of the moments, whitened by their covariance with the ``ridge``.
    """

    xi: Float[Tensor, " unknowns"]
    support: Int[Tensor, " support"]
    statistic: float
    moment_count: int
    hessian: Float[Tensor, "support support"]
    gradient: Float[Tensor, " support"]
    slopes: Float[Tensor, "m support"]
    ridge: float


@dataclass(frozen=True, eq=False)
class Point:
    """A field ``xi`` at unit speed, with its moments and the statistic ``J`` there.

    ``h`` are the moments of every observation before they are combined, ``g`` the combined means,
    ``root`` is the Cholesky factor of their covariance ``C`` with its ridge, and ``u = C^-1 g``.
    """

    xi: Float[Tensor, " unknowns"]
    h: Float[Tensor, "n functions"]
    g: Float[Tensor, " m"]
    root: Float[Tensor, "m m"]
    u: Float[Tensor, " m"]
    statistic: float


def minimise(
    form: Form,
    xi: Float[Tensor, " unknowns"],
    support: Int[Tensor, " support"] | None = None,
    ridge: float = COVARIANCE_RIDGE,
    steps: int = 10,
    tolerance: float = 0.05,
    orthogonal_to: Float[Tensor, "unknowns o"] | None = None,
) -> Minimum:
    """Minimum of ``J`` reached from the field ``xi`` by damped Gauss-Newton steps.

    Args:
        form: Moments of the library.
        xi: Field to start from, zero outside the support.
        support: Unknowns that are free, all by default.
        ridge: Ridge on the covariance of the moments.
        steps: Largest number of steps; with 0 the expansion is that at ``xi``.
        tolerance: Decrease of ``J`` by a step at which to stop.
        orthogonal_to: Fields that the minimum is orthogonal to in ``E[v . w]``, as ``xi`` must be.
    """
    support = torch.arange(len(xi), device=xi.device) if support is None else support
    here, damping = point(form, xi, ridge), 1e-3
    free = None if orthogonal_to is None else complement((form.metric @ orthogonal_to)[support])
    for step in range(steps):
        tell("fit of %d unknowns, step %d of at most %d", len(support), step + 1, steps)
        hessian, gradient, _ = _expansion(form, here, support)
        for _ in range(6):
            damped = fixed_speed(form, here.xi, support, hessian, damping)
            there = point(
                form, here.xi.index_add(0, support, -_step(damped, gradient, free)), ridge
            )
            if there.statistic < here.statistic:
                break
            damping = max(30 * damping, 1e-3)
        else:
            break
        gain, here, damping = here.statistic - there.statistic, there, damping / 30
        if gain < tolerance:
            break
    return Minimum(
        here.xi, support, here.statistic, len(here.u), *_expansion(form, here, support), ridge
    )


def point(form: Form, xi: Float[Tensor, " unknowns"], ridge: float) -> Point:
    """The field ``xi`` scaled to unit speed, and ``J`` there."""
    xi = form.normalised(xi)
    covariance, h = form.covariance(xi)
    covariance.diagonal().add_(ridge)
    g, root = form.jacobian @ xi, torch.linalg.cholesky(covariance)
    u = torch.cholesky_solve(g[:, None], root)[:, 0]
    return Point(xi, h, g, root, u, form.effective_size * float(g @ u))


def _expansion(form: Form, at: Point, support: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Half the second derivative, half the gradient and the whitened derivatives of the moments.

    The derivatives are those of ``g`` less what the change of the covariance explains of them,
    without which estimates would be biased towards fields with small moments.
    """
    along = form.moments_along(at.u)[:, support]
    shared = form.mix.T @ (at.h.T @ along / form.sample_size) - torch.outer(at.g, along.mean(0))
    slopes = form.jacobian[:, support] - shared
    white = torch.linalg.solve_triangular(at.root, slopes, upper=False)
    moments = torch.linalg.solve_triangular(at.root, at.g[:, None], upper=False)[:, 0]
    return form.effective_size * white.T @ white, form.effective_size * white.T @ moments, white


def _step(hessian: Tensor, gradient: Tensor, free: Tensor | None) -> Tensor:
    """Newton step, in the space that the columns of ``free`` span if they are given."""
    if free is None:
        return torch.linalg.solve(hessian, gradient)
    return free @ torch.linalg.solve(free.T @ hessian @ free, free.T @ gradient)


def complement(columns: Float[Tensor, "n k"]) -> Float[Tensor, "n n-k"]:
    """Orthonormal basis of the vectors orthogonal to all ``columns``."""
    return torch.linalg.qr(columns, mode="complete").Q[:, columns.shape[1] :]


def fixed_speed(
    form: Form,
    xi: Float[Tensor, " unknowns"],
    support: Int[Tensor, " support"],
    hessian: Float[Tensor, "support support"],
    damping: float = JITTER,
) -> Float[Tensor, "support support"]:
    """Second derivative of ``J`` at fixed speed, which ``J`` itself leaves free.

    Its largest diagonal entry is added along the direction in which the speed of ``xi`` changes,
    and ``damping`` times its diagonal, so that it can be inverted.
    """
    along = (form.gram @ xi.view(-1, form.dim)).flatten()[support]
    along = along / along.norm()
    fixed = hessian + hessian.diagonal().max() * torch.outer(along, along)
    fixed.diagonal().add_(damping * hessian.diagonal())
    return fixed
