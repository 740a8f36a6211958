"""The steady-state residual ``r(x) = div v(x) + v(x) . s(x)`` (method section 1).

``E_p r phi = -E_p v . grad phi`` for every smooth ``phi``: ``r = 0`` wherever ``p > 0`` says that
``v`` keeps ``p`` as it is. Its relative size ``E r^2 / E |v|^2`` does not depend on speed.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.stationarity.divergence import Velocity, exact, hutchinson


def residual(
    velocity: Velocity, x: Float[Tensor, "batch *shape"], score: Float[Tensor, "batch *shape"]
) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch *shape"]]:
    """Residual with the exact divergence, and the velocity, at given score values."""
    v, div = exact(velocity, x)
    return div + _dot(v, score), v


def strong_moments(
    velocity: Velocity,
    x: Float[Tensor, "batch *shape"],
    score: Float[Tensor, "batch *shape"],
    probes: Float[Tensor, "2 batch *shape"] | None = None,
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Per state, unbiased ``r^2`` and ``|v|^2``: the two moments of the strong form.

    With ``probes`` the square is the product of two residuals with independent divergence
    estimates: the square of one would be biased upward by its variance (method section 5).
    """
    if probes is None:
        r, v = residual(velocity, x, score)
        return r**2, _dot(v, v)
    v, div = hutchinson(velocity, x, probes)
    r = div + _dot(v, score)
    return r[0] * r[1], _dot(v, v)


def _dot(a: Tensor, b: Tensor) -> Float[Tensor, " batch"]:
    return torch.linalg.vecdot(a.flatten(1), b.flatten(1))
