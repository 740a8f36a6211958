"""Value, Jacobian and divergence of a velocity field, exact or estimated.

Fields act on each state of a batch alone, so one forward-mode derivative of the whole batch along
a basis vector gives one column of every state's Jacobian.
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


_FORWARD_MODE = Lock()  # torch counts forward-mode levels for all threads together


MAX_EXACT_DIM = 256
"""Largest state dimension for which the exact divergence, ``d`` forward passes, is accepted."""


def exact(
    velocity: Velocity, x: Float[Tensor, "batch *shape"]
) -> tuple[Float[Tensor, "batch *shape"], Float[Tensor, " batch"]]:
    """``v(x)`` and ``div v(x)``: the field's own pass if it has one, else ``d`` vectorised jvps.

    Raises ``InputError`` when ``d`` is beyond ``MAX_EXACT_DIM``.
    """
    check_dim(x.shape[1:])
    if hasattr(velocity, "value_and_divergence"):
        return velocity.value_and_divergence(x)
    dim = prod(x.shape[1:])
    basis = torch.eye(dim, dtype=x.dtype, device=x.device).view(dim, 1, *x.shape[1:])

    def column(direction: Tensor) -> tuple[Tensor, Tensor]:
        v, dv = jvp(velocity, (x,), (direction.expand_as(x),))[:2]
        return v, (dv * direction).flatten(1).sum(1)

    with _FORWARD_MODE:
        v, diagonal = vmap(column, out_dims=(None, 0))(basis)  # type: ignore[arg-type]
    return v, diagonal.sum(0)


def jacobian(velocity: Velocity, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim dim"]:
    """``J[:, i, j] = dv_i / dx_j`` at each state, by ``d`` vectorised jvps.

    Raises ``InputError`` for a velocity that cannot be differentiated, or does not depend on ``x``.
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


def hutchinson(
    velocity: Velocity, x: Float[Tensor, "batch *shape"], probes: Float[Tensor, "n batch *shape"]
) -> tuple[Float[Tensor, "batch *shape"], Float[Tensor, "n batch"]]:
    """``v(x)`` and one estimate ``eps . J eps`` of ``div v(x)`` per probe (Hutchinson 1989).

    Unbiased for probes with unit covariance; with Rademacher signs the variance is
    ``1/2 |J + J^T|_F^2`` off the diagonal.
    """

    def estimate(eps: Tensor) -> tuple[Tensor, Tensor]:
        v, dv = jvp(velocity, (x,), (eps,))[:2]
        return v, (dv * eps).flatten(1).sum(1)

    with _FORWARD_MODE:
        return vmap(estimate, out_dims=(None, 0))(probes)  # type: ignore[arg-type]


def rademacher(
    like: Float[Tensor, "*size"], generator: torch.Generator | None = None
) -> Float[Tensor, "*size"]:
    """Independent random signs."""
    heads = torch.randint(2, like.shape, generator=generator, device=like.device)
    return (2 * heads - 1).to(like.dtype)


def check_dim(shape: tuple[int, ...]) -> None:
    """Refuse an exact divergence in more dimensions than it can afford."""
    if prod(shape) > MAX_EXACT_DIM:
        raise InputError(
            f"flow.divergence=exact needs one pass per dimension, found d = {prod(shape)}; "
            f"expected d <= {MAX_EXACT_DIM}, or flow.divergence=hutchinson"
        )
