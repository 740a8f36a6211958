"""The field of a library whose weak-form statistic is least (method section 5).

``J(xi) = N g . C(xi)^-1 g`` weighs the moments ``g = G xi`` by the inverse of their covariance at
the same ``xi``: it does not change with speed (continuously updated GMM; Hansen, Heaton & Yaron
1996). It has local minima: see ``starts``.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.stationarity import Form

RIDGE = 1e-2
"""Added to the covariance, whose entries are of order one.

Without it the least variances of the moments, which are the worst known, would weigh most, and
local minima abound; it costs little precision, and makes the statistic a little too small."""


@dataclass(frozen=True, eq=False)
class Minimum:
    """A library field at a least value of the statistic.

    ``xi`` holds all unknowns at unit speed, zero outside ``support``; ``statistic`` is ``J`` there,
    of ``moments`` moments; ``hessian`` is half its second derivative on the support;
    ``gradient`` half its first. ``slopes`` are the derivatives of the moments, whitened with
    ``ridge``, and ``function`` is what shows best what is left, ``C^-1 g``.
    """

    xi: Float[Tensor, " unknowns"]
    support: Tensor
    statistic: float
    moments: int
    hessian: Float[Tensor, "support support"]
    gradient: Float[Tensor, " support"]
    slopes: Float[Tensor, "m support"]
    function: Float[Tensor, " m"]
    ridge: float


@dataclass(frozen=True, eq=False)
class _Point:
    xi: Tensor
    h: Tensor
    g: Tensor
    root: Tensor
    u: Tensor
    statistic: float


def minimise(
    form: Form,
    xi: Float[Tensor, " unknowns"],
    support: Tensor | None = None,
    ridge: float = RIDGE,
    steps: int = 10,
    tolerance: float = 0.05,
    apart: Float[Tensor, "unknowns o"] | None = None,
) -> Minimum:
    """Descend from ``xi`` by damped Gauss-Newton steps on the unknowns of ``support``.

    With ``apart``, among the fields orthogonal to these, as ``xi`` must be.
    """
    support = torch.arange(len(xi), device=xi.device) if support is None else support
    here, damping = _at(form, xi, ridge), 1e-3
    for _ in range(steps):
        hessian, gradient, _ = _expansion(form, here, support)
        for _ in range(6):
            step = _newton(form, here.xi, support, hessian, gradient, damping, apart)
            there = _at(form, here.xi.index_add(0, support, -step), ridge)
            if there.statistic < here.statistic:
                break
            damping = max(30 * damping, 1e-3)
        else:
            break
        gain, here, damping = here.statistic - there.statistic, there, damping / 30
        if gain < tolerance:
            break
    hessian, gradient, slopes = _expansion(form, here, support)
    return Minimum(
        here.xi, support, here.statistic, len(here.u), hessian, gradient, slopes, here.u, ridge
    )


def _at(form: Form, xi: Tensor, ridge: float) -> _Point:
    xi = form.normalised(xi)
    covariance, h = form.covariance(xi)
    covariance.diagonal().add_(ridge)
    g, root = form.jacobian @ xi, torch.linalg.cholesky(covariance)
    u = torch.cholesky_solve(g[:, None], root)[:, 0]
    return _Point(xi, h, g, root, u, form.total * float(g @ u))


def _expansion(form: Form, at: _Point, support: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Half the second derivative, half the gradient and the whitened slopes of the moments.

    The slopes are those of ``g`` less what the change of the covariance explains of them, without
    which estimates would be biased towards fields with small moments.
    """
    along = form.along(at.u)[:, support]
    shared = form.mix.T @ (at.h.T @ along / form.size) - torch.outer(at.g, along.mean(0))
    slopes = form.jacobian[:, support] - shared
    white = torch.linalg.solve_triangular(at.root, slopes, upper=False)
    moments = torch.linalg.solve_triangular(at.root, at.g[:, None], upper=False)[:, 0]
    return form.total * white.T @ white, form.total * white.T @ moments, white


def expansion(
    form: Form, xi: Float[Tensor, " unknowns"], ridge: float
) -> tuple[Float[Tensor, "unknowns unknowns"], Float[Tensor, " unknowns"]]:
    """Half the second derivative and half the gradient of the statistic in all unknowns."""
    everything = torch.arange(len(xi), device=xi.device)
    return _expansion(form, _at(form, xi, ridge), everything)[:2]


def _newton(
    form: Form,
    xi: Tensor,
    support: Tensor,
    hessian: Tensor,
    gradient: Tensor,
    damping: float,
    apart: Tensor | None,
) -> Tensor:
    damped = speed_fixed(form, xi, support, hessian)
    damped.diagonal().add_(damping * hessian.diagonal())
    if apart is None:
        return torch.linalg.solve(damped, gradient)
    free = complement((form.metric @ apart)[support])
    return free @ torch.linalg.solve(free.T @ damped @ free, free.T @ gradient)


def complement(columns: Float[Tensor, "n k"]) -> Float[Tensor, "n n-k"]:
    """An orthonormal basis of what is orthogonal to ``columns``."""
    return torch.linalg.qr(columns, mode="complete").Q[:, columns.shape[1] :]


def spread(form: Form, found: Minimum) -> Float[Tensor, "support support"]:
    """A root ``R`` of the sampling covariance ``R R^T`` of the unknowns, at given speed."""
    precision = speed_fixed(form, found.xi, found.support, found.hessian)
    precision.diagonal().add_(1e-10 * found.hessian.diagonal())
    eye = torch.eye(len(precision)).to(precision)
    return torch.linalg.solve_triangular(torch.linalg.cholesky(precision), eye, upper=False).T


def speed_fixed(form: Form, xi: Tensor, support: Tensor, hessian: Tensor) -> Tensor:
    """The second derivative with the direction of pure speed, which is free, held fast."""
    along = (form.gram @ xi.view(-1, form.dim)).flatten()[support]
    along = along / along.norm()
    return hessian + hessian.diagonal().max() * torch.outer(along, along)
