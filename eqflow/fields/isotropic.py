"""Learned velocity fields of images that know neither place nor direction."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from eqflow.errors import InputError
from eqflow.fields.base import VelocityField
from eqflow.fields.convolution import convolve, isotropic


class IsotropicConvolution(nn.Module):
    """Convolution whose kernel has one weight for each orbit of the square's symmetries."""

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


class IsotropicNetwork(VelocityField):
    """Local velocity of images that commutes with rolls, quarter turns and mirrors.

    ``depth`` SiLU layers of ``width`` channels and a linear one, each a periodic convolution with
    the nearest neighbours: a pixel's velocity depends on those ``depth + 1`` away, on a canvas of
    any size. ``gain`` multiplies the first layer's initial weights. The weights follow torch's
    global seed. Raises ``InputError`` for states that are not images ``(C, H, W)``.
    """

    def __init__(
        self, shape: tuple[int, ...], width: int = 16, depth: int = 3, gain: float = 3.0
    ) -> None:
        super().__init__(shape)
        if len(shape) != 3:
            raise InputError(
                f"flow=network takes vectors of shape (d,) or images of shape (C, H, W), found "
                f"snapshots of shape {shape}"
            )
        if width < 1 or depth < 1:
            raise InputError(f"width={width}, depth={depth} found; expected both >= 1")
        pairs = pairwise([shape[0], *[width] * depth, shape[0]])
        self.layers = nn.ModuleList(IsotropicConvolution(*pair) for pair in pairs)
        with torch.no_grad():
            next(self.layers.parameters()).mul_(gain)

    def unscaled(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        *hidden, last = self.layers
        for layer in hidden:
            x = functional.silu(layer(x))
        return last(x)
