"""Initial fields of the minimisation, from generalised eigenproblems (method section 5).

The statistic has local minima, so it is minimised from several fields and the least result is
taken. Eigenproblems have no local minima.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.discovery.gmm import Minimum, complement, minimise
from eqflow.runtime.progress import tell
from eqflow.stationarity import Form

SMOOTHING_RIDGE = 0.1
"""Ridge on the covariance with which the statistic has few local minima."""


def global_minimum(form: Form, orthogonal_to: Float[Tensor, "unknowns o"] | None = None) -> Minimum:
    """Least of the minima reached from several initial fields.

    With ``orthogonal_to``, among the fields that are orthogonal to these in ``E[v . w]``.
    """
    coarse = [
        minimise(form, xi, ridge=SMOOTHING_RIDGE, steps=4, tolerance=1, orthogonal_to=orthogonal_to)
        for xi in _distinct(form, initial_fields(form, orthogonal_to=orthogonal_to))
    ]
    best = min(coarse, key=lambda minimum: minimum.statistic)
    return minimise(form, best.xi, tolerance=0.5, orthogonal_to=orthogonal_to)


def _distinct(form: Form, fields: list[Tensor]) -> list[Tensor]:
    kept: list[Tensor] = []
    for xi in map(form.normalised, fields):
        if all(abs(float(xi @ form.metric @ other)) < 0.99 * form.dim for other in kept):
            kept.append(xi)
    return kept


def initial_fields(
    form: Form, count: int = 3, orthogonal_to: Float[Tensor, "unknowns o"] | None = None
) -> list[Float[Tensor, " unknowns"]]:
    """Fields that minimise ``xi . A xi / xi . B xi`` under fixed weights of the moments.

    ``A`` holds the squared mean moments and ``B`` their sampling covariance. With ``E |v|^2`` in
    place of ``B``, fields whose moments happen to have small variances would be favoured. The
    weights are first those of an isotropic velocity, under which the ``count`` lowest fields are
    taken, then those of each field itself. With ``orthogonal_to``, fields orthogonal to these.
    """
    tell("initial fields of %d unknowns", form.jacobian.shape[1])
    eye = torch.eye(form.jacobian.shape[0]).to(form.jacobian)
    fields = eigenfields(form, eye, orthogonal_to)[1][:, :count]
    return [_reweighted(form, xi, orthogonal_to) for xi in fields.T]


def _reweighted(form: Form, xi: Tensor, orthogonal_to: Tensor | None) -> Tensor:
    for ridge in (1.0, 0.1):
        tell("initial fields of %d unknowns", len(xi))
        covariance = form.covariance(form.normalised(xi))[0]
        variances, axes = torch.linalg.eigh(covariance)
        root = axes * (variances.clamp_min(0) + ridge).rsqrt()
        xi = eigenfields(form, root, orthogonal_to)[1][:, 0]
    return xi


def eigenfields(
    form: Form, root: Float[Tensor, "m r"], orthogonal_to: Float[Tensor, "unknowns o"] | None = None
) -> tuple[Float[Tensor, " k"], Float[Tensor, "unknowns k"]]:
    """Eigenvalues ``xi . A xi / xi . B xi``, increasing, and their fields.

    The moments are weighted by ``root root^T``. Fields that vanish on the data are left out.
    """
    mean = root.T @ form.jacobian
    noise = form.sampling_covariance(root)
    scale = noise.diagonal().clamp_min(1e-300).rsqrt()
    sizes, axes = torch.linalg.eigh(noise * torch.outer(scale, scale))
    kept = sizes > 1e-11 * sizes[-1]
    basis = scale[:, None] * axes[:, kept] * sizes[kept].rsqrt()
    if orthogonal_to is not None:
        basis = basis @ complement(basis.T @ form.metric @ orthogonal_to)
    squares, fields = torch.linalg.eigh(form.effective_size * (mean @ basis).T @ (mean @ basis))
    return squares, basis @ fields
