"""Strong form of the condition: the steady-state residual (method sections 1 and 5).

The residual is ``r(x) = div v(x) + v(x) . s(x)`` with the score ``s = grad log p``. It vanishes
wherever ``p > 0`` exactly if ``v`` keeps ``p``, because ``E_p[r phi] = -E_p[v . grad phi]`` for
every smooth ``phi``. Its relative size ``E r^2 / E |v|^2`` does not depend on the speed of ``v``.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.stationarity.divergence import Velocity, exact, hutchinson


def residual(
    velocity: Velocity, x: Float[Tensor, "batch *shape"], score: Float[Tensor, "batch *shape"]
) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch *shape"]]:
    """Residual ``r(x)`` with the exact divergence, and the velocity ``v(x)``.

    ``score`` holds the values of the score at the states ``x``. Raises ``InputError`` as
    :func:`~eqflow.stationarity.divergence.exact` does.
    """
    v, div = exact(velocity, x)
    return div + dot(v, score), v


def strong_moments(
    velocity: Velocity,
    x: Float[Tensor, "batch *shape"],
    score: Float[Tensor, "batch *shape"],
    probes: Float[Tensor, "2 batch *shape"] | None = None,
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Unbiased estimates of ``r^2`` and of ``|v|^2`` at each state.

    With two ``probes`` the divergence is estimated, see :func:`hutchinson`, and ``r^2`` is the
    product of the two residuals: the square of one estimate would exceed it by the variance of the
    estimate.
    """
    if probes is None:
        r, v = residual(velocity, x, score)
        return r**2, dot(v, v)
    v, div = hutchinson(velocity, x, probes)
    r = div + dot(v, score)
    return r[0] * r[1], dot(v, v)


def dot(
    a: Float[Tensor, "batch *shape"], b: Float[Tensor, "batch *shape"]
) -> Float[Tensor, " batch"]:
    """Inner product ``a . b`` of each state, summed over all axes but the first."""
    return torch.linalg.vecdot(a.flatten(1), b.flatten(1))
