"""Value, Jacobian and divergence of a velocity field, exact or estimated.

A field acts on each state of a batch alone. One forward-mode derivative (jvp) of the whole batch
along a basis vector therefore gives one column of the Jacobian of every state. Velocities and
states may be in any units, as long as they are in the same: the divergence is in inverse time.
"""

from collections.abc import Callable
from math import prod
from threading import Lock

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jvp, vmap

from eqflow.errors import InputError

Velocity = Callable[[Tensor], Tensor]
"""A velocity field: states ``(batch, *shape)`` to their velocities, of the same shape."""


_FORWARD_MODE = Lock()  # torch counts forward-mode levels for all threads together


MAX_EXACT_DIM = 256
"""Largest state dimension ``d`` for which the exact divergence, ``d`` forward passes, is taken."""


def exact(
    velocity: Velocity, x: Float[Tensor, "batch *shape"]
) -> tuple[Float[Tensor, "batch *shape"], Float[Tensor, " batch"]]:
    """Velocity ``v(x)`` and exact divergence ``div v(x) = sum_j dv_j / dx_j``.

    The divergence comes from the field's own ``value_and_divergence`` if it has one, and from ``d``
    vectorised jvps otherwise. Raises ``InputError`` if ``d`` is larger than ``MAX_EXACT_DIM``.
    """
    check_dim(x.shape[1:])
    if hasattr(velocity, "value_and_divergence"):
        return velocity.value_and_divergence(x)
    dim = prod(x.shape[1:])
    basis = torch.eye(dim, dtype=x.dtype, device=x.device).view(dim, 1, *x.shape[1:])
    with _FORWARD_MODE:
        v, diagonal = vmap(_estimate(velocity, x), out_dims=(None, 0))(basis)  # type: ignore[arg-type]
    return v, diagonal.sum(0)


def hutchinson(
    velocity: Velocity, x: Float[Tensor, "batch *shape"], probes: Float[Tensor, "n batch *shape"]
) -> tuple[Float[Tensor, "batch *shape"], Float[Tensor, "n batch"]]:
    """Velocity ``v(x)`` and one estimate ``eps . J eps`` of ``div v(x)`` for each probe ``eps``.

    The estimates are unbiased for probes with unit covariance. With random signs, see
    :func:`rademacher`, their variance is ``sum_{i<j} (J_ij + J_ji)^2``.

    Reference: Hutchinson (1989), A stochastic estimator of the trace of the influence matrix.
    """
    with _FORWARD_MODE:
        return vmap(_estimate(velocity, x), out_dims=(None, 0))(probes)  # type: ignore[arg-type]


def _estimate(velocity: Velocity, x: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The function ``eps -> v(x), eps . J(x) eps``."""

    def estimate(eps: Tensor) -> tuple[Tensor, Tensor]:
        v, dv = jvp(velocity, (x,), (eps.expand_as(x),))[:2]
        return v, (dv * eps).flatten(1).sum(1)

    return estimate


def jacobian(velocity: Velocity, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim dim"]:
    """Jacobian ``J[:, i, j] = dv_i / dx_j`` at each state, by ``d`` vectorised jvps.

    Raises ``InputError`` for a velocity that torch cannot differentiate, or that does not depend on
    ``x``.
    """
    basis = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)

    def column(direction: Tensor) -> Tensor:
        return jvp(velocity, (x,), (direction.expand_as(x),), strict=True)[1]

    try:
        with _FORWARD_MODE:
            return vmap(column, out_dims=2)(basis)
    except RuntimeError as error:
        name = getattr(velocity, "__qualname__", type(velocity).__name__)
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{name} has no Jacobian ({reason}); expected a velocity that torch can differentiate"
        ) from error


def rademacher(
    like: Float[Tensor, "*size"], generator: torch.Generator | None = None
) -> Float[Tensor, "*size"]:
    """Independent random signs, with the shape, dtype and device of ``like``."""
    heads = torch.randint(2, like.shape, generator=generator, device=like.device)
    return (2 * heads - 1).to(like.dtype)


def check_dim(shape: tuple[int, ...]) -> None:
    """Raise ``InputError`` if states of this shape are too large for an exact divergence."""
    if prod(shape) > MAX_EXACT_DIM:
        raise InputError(
            f"flow.divergence=exact needs one pass per dimension, found d = {prod(shape)}; "
            f"expected d <= {MAX_EXACT_DIM}, or flow.divergence=hutchinson"
        )
