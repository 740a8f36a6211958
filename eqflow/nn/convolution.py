"""Convolutions on a periodic grid, and kernels with the symmetries of the square.

A kernel of radius ``R`` is of shape ``(out, in, 2 R + 1, 2 R + 1)``, with the offset zero in its
middle. A kernel of radius zero is a matrix: a vector is an image of one pixel.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional


def convolve(
    kernel: Float[Tensor, "out in side side"], x: Float[Tensor, "batch in height width"]
) -> Float[Tensor, "batch out height width"]:
    """``sum_r K(r) x(p - r)`` on a periodic grid of any size, also one smaller than the kernel."""
    margin = kernel.shape[-1] // 2
    wrapped = _wrapped(_wrapped(x, margin, 2), margin, 3)
    # torch correlates, with x(p + r): the kernel is flipped
    return functional.conv2d(wrapped, kernel.flip(2, 3))


def _wrapped(x: Tensor, margin: int, axis: int) -> Tensor:
    """``x`` with a periodic margin; torch's circular padding is slower and no wider than ``x``."""
    n = x.shape[axis]
    around = torch.cat([x] * -(-margin // n), axis) if margin > n else x
    ends = around.narrow(axis, around.shape[axis] - margin, margin), around.narrow(axis, 0, margin)
    return torch.cat([ends[0], x, ends[1]], axis)


def orbits(radius: int) -> Int[Tensor, "side side"]:
    """Number of the orbit of each offset under the symmetries of the square.

    There are ``(R + 1) (R + 2) / 2`` orbits: the middle, its neighbours along the axes, its
    diagonal neighbours, and so on outwards.

    >>> orbits(1)
    tensor([[2, 1, 2],
            [1, 0, 1],
            [2, 1, 2]])
    """
    a = torch.arange(-radius, radius + 1).abs()
    far, near = torch.maximum(a[:, None], a), torch.minimum(a[:, None], a)
    return far * (far + 1) // 2 + near


def isotropic(values: Float[Tensor, "*channels orbits"], radius: int) -> Tensor:
    """Kernel with one value for each orbit: convolution commutes with turns and mirrorings."""
    return values[..., orbits(radius).to(values.device)]


class IsotropicConvolution(nn.Module):
    """Periodic convolution whose kernel has one weight for each orbit."""

    def __init__(self, inputs: int, outputs: int, radius: int = 1) -> None:
        super().__init__()
        self.radius = radius
        orbits, area = (radius + 1) * (radius + 2) // 2, (2 * radius + 1) ** 2
        self.weight = nn.Parameter(torch.randn(outputs, inputs, orbits) / (inputs * area) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(
        self, x: Float[Tensor, "batch inputs height width"]
    ) -> Float[Tensor, "batch outputs height width"]:
        return convolve(isotropic(self.weight, self.radius), x) + self.bias[:, None, None]
