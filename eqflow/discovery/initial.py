"""Where to start: the statistic has local minima, so the least of several descents is taken.

Starts come from generalised eigenproblems, which have no local minima.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.discovery.gmm import Minimum, complement, minimise
from eqflow.stationarity import Form

SMOOTH = 0.1
"""Ridge under which the statistic has few local minima, for the way to the lowest."""


def least(form: Form, apart: Float[Tensor, "unknowns o"] | None = None) -> Minimum:
    """The least statistic from several starts, among fields orthogonal to ``apart`` if given."""
    near = [
        minimise(form, xi, ridge=SMOOTH, steps=4, tolerance=1, apart=apart)
        for xi in _distinct(form, starts(form, apart=apart))
    ]
    best = min(near, key=lambda found: found.statistic)
    return minimise(form, best.xi, tolerance=0.5, apart=apart)


def _distinct(form: Form, fields: list[Tensor]) -> list[Tensor]:
    kept: list[Tensor] = []
    for xi in map(form.normalised, fields):
        if all(abs(float(xi @ form.metric @ other)) < 0.99 * form.dim for other in kept):
            kept.append(xi)
    return kept


def starts(
    form: Form, count: int = 3, apart: Float[Tensor, "unknowns o"] | None = None
) -> list[Float[Tensor, " unknowns"]]:
    """Directions that minimise ``xi . A xi / xi . B xi`` at given weights, to start from.

    ``A`` is the squared moments, ``B`` their sampling noise: unlike in ``xi . A xi / xi . S xi``
    noise does not favour fields whose moments are small. The weights go from those of an isotropic
    velocity to those of the field itself. With ``apart``, fields orthogonal to these.
    """
    eye = torch.eye(form.jacobian.shape[0]).to(form.jacobian)
    first = eigenfields(form, eye, apart)[1][:, :count]
    return [_refined(form, xi, apart) for xi in first.T]


def _refined(form: Form, xi: Tensor, apart: Tensor | None) -> Tensor:
    for ridge in (1.0, 0.1):
        covariance = form.covariance(form.normalised(xi))[0]
        variances, axes = torch.linalg.eigh(covariance)
        root = axes * (variances.clamp_min(0) + ridge).rsqrt()
        xi = eigenfields(form, root, apart)[1][:, 0]
    return xi


def eigenfields(
    form: Form, root: Float[Tensor, "m r"], apart: Float[Tensor, "unknowns o"] | None = None
) -> tuple[Float[Tensor, " k"], Float[Tensor, "unknowns k"]]:
    """Squared moments in units of their sampling noise, increasing, and the fields that have them.

    Weights are ``root root^T``. Fields that vanish on the data are left out.
    """
    mean = root.T @ form.jacobian
    noise = form.noise(root)
    scale = noise.diagonal().clamp_min(1e-300).rsqrt()
    sizes, axes = torch.linalg.eigh(noise * torch.outer(scale, scale))
    kept = sizes > 1e-11 * sizes[-1]
    basis = scale[:, None] * axes[:, kept] * sizes[kept].rsqrt()
    if apart is not None:
        basis = basis @ complement(basis.T @ form.metric @ apart)
    squares, fields = torch.linalg.eigh(form.total * (mean @ basis).T @ (mean @ basis))
    return squares, basis @ fields
