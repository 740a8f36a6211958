"""Antisymmetric and random kernels of convolutions on a periodic grid.

A kernel is ``(C, C, 2 R + 1, 2 R + 1)`` with the offset zero in its middle; ``R`` is its radius.
One of radius zero is a matrix, which is all that there is for the single pixel of a vector.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.nn import isotropic
from eqflow.nn.convolution import orbits
from eqflow.runtime import Draws, generator

SYMMETRY_TOLERANCE = 1e-6
"""Deviation of a given kernel from its symmetries, relative to its largest entry."""


def adjoint(kernel: Float[Tensor, "c c side side"]) -> Float[Tensor, "c c side side"]:
    """Kernel ``K_ji(-r)`` of the adjoint map."""
    return kernel.transpose(0, 1).flip(2, 3)


def random_kernel(
    channels: int, seed: int, radius: int = 1, symmetric: bool = False
) -> Float[Tensor, "channels channels side side"]:
    """Kernel of standard normal entries drawn by ``seed``, ``symmetric`` under turns and mirrors.

    Raises ``InputError`` for a radius that is no whole number >= 0.
    """
    if not isinstance(radius, int) or radius < 0:
        raise InputError(f"flow.field.radius={radius} found; expected an integer >= 0")
    size = orbits(radius).max() + 1 if symmetric else (2 * radius + 1) ** 2
    values = torch.randn(channels, channels, int(size), generator=generator(seed, Draws.MATRIX))
    if symmetric:
        return isotropic(values, radius)
    return values.unflatten(2, (2 * radius + 1, 2 * radius + 1))


def skew_kernel(
    channels: int, seed: int, radius: int = 1, symmetric: bool = False
) -> Float[Tensor, "channels channels side side"]:
    """Antisymmetric kernel ``(R_ij(r) - R_ji(-r)) / sqrt(2)`` of a Gaussian ``R`` by ``seed``."""
    kernel = random_kernel(channels, seed, radius, symmetric)
    return (kernel - adjoint(kernel)) / 2**0.5


def given_kernel(
    values: list[Any], channels: int, radius: int | None = None, symmetric: bool = False
) -> Float[Tensor, "channels channels side side"]:
    """Antisymmetric kernel that a user gives as nested lists; a matrix has radius zero.

    Raises ``InputError`` for another shape or radius, a kernel that is not antisymmetric and, where
    it is said to be ``symmetric``, one that turns and mirrors change.
    """
    kernel = _numbers(values, channels)
    if radius not in (None, kernel.shape[-1] // 2):
        raise InputError(
            f"flow.field.kernel of side {kernel.shape[-1]} found beside radius={radius}; "
            "expected radius=null or a side of 2 radius + 1"
        )
    _check("is not antisymmetric: K_ij(r) + K_ji(-r)", kernel + adjoint(kernel), kernel)
    if symmetric:
        images = torch.stack([kernel.mT, kernel.rot90(1, (-2, -1))])
        _check("is not symmetric: its change by a turn or a mirror", images - kernel, kernel)
    return (kernel - adjoint(kernel)) / 2


def _numbers(values: list[Any], channels: int) -> Tensor:
    expected = f"nested lists of shape ({channels}, {channels}, side, side) with an odd side"
    try:
        kernel = torch.tensor(values, dtype=torch.get_default_dtype())
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"flow.field.kernel: {error}; expected {expected}") from None
    if kernel.ndim == 2:
        kernel = kernel[:, :, None, None]
    sides = kernel.shape[2:]
    if kernel.shape[:2] != (channels, channels) or len(set(sides)) != 1 or sides[0] % 2 == 0:
        raise InputError(
            f"flow.field.kernel of shape {tuple(kernel.shape)} found; expected {expected}"
        )
    return kernel


def _check(what: str, difference: Tensor, kernel: Tensor) -> None:
    worst, largest = difference.abs().max(), kernel.abs().max()
    if not worst <= SYMMETRY_TOLERANCE * largest:
        raise InputError(
            f"flow.field.kernel {what} reaches {worst:.3g} beside entries up to {largest:.3g}; "
            "expected zero"
        )
