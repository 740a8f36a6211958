"""A small periodic U-Net, with the gradient of an energy as an explicit pass.

Without normalisation and attention a value depends on its neighbourhood alone, so that a network
trained on windows serves images of any size. The gradient is made of the adjoints of the linear
maps, plain tensor code: it works in inference mode and in forward mode and can be differentiated.
"""

from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from eqflow.errors import InputError
from eqflow.nn.mlp import silu


class Convolution(nn.Conv2d):
    """Convolution with kernels of 3 x 3 pixels on a periodic grid."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, padding_mode="circular")

    def adjoint(self, g: Tensor) -> Tensor:
        wrapped = functional.pad(g, (1, 1, 1, 1), "circular")
        return functional.conv2d(wrapped, self.weight.transpose(0, 1).flip(2, 3))


class Coarser(nn.Conv2d):
    """Linear map to half the resolution: 2 x 2 pixels become one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 2, stride=2)

    def adjoint(self, g: Tensor) -> Tensor:
        return functional.conv_transpose2d(g, self.weight, stride=2)


class Finer(nn.ConvTranspose2d):
    """Linear map to twice the resolution: one pixel becomes 2 x 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 2, stride=2)

    def adjoint(self, g: Tensor) -> Tensor:
        return functional.conv2d(g, self.weight, stride=2)


class PeriodicUNet(nn.Module):
    """U-Net with ``width`` channels at half and ``2 width`` at a quarter of the resolution, SiLU.

    Maps ``(batch, channels, height, width)`` to the same shape; the sides are multiples of 4.
    ``conditional`` adds an input ``level``, ``(batch, 1, 1, 1)``, that is constant over the grid.
    Raises ``InputError`` for ``width < 1`` and ``depth < 1``.
    """

    def __init__(
        self, channels: int, width: int = 32, depth: int = 4, conditional: bool = False
    ) -> None:
        super().__init__()
        if width < 1 or depth < 1:
            raise InputError(f"width={width}, depth={depth} found; expected both >= 1")
        self.channels = channels
        self.first = Convolution(4 * channels + conditional, width)
        self.before = _layers(width, depth // 2)
        self.down = Coarser(width, 2 * width)
        self.coarse = _layers(2 * width, depth)
        self.up = Finer(2 * width, width)
        self.after = _layers(width, depth // 2)
        self.last = Convolution(width, 4 * channels)

    def _inputs(self, u: Tensor, level: Tensor | None) -> Tensor:
        pixels = functional.pixel_unshuffle(u, 2)
        if level is None:
            return pixels
        return torch.cat([pixels, level.expand(len(u), 1, *pixels.shape[2:])], 1)

    def forward(
        self, u: Float[Tensor, "batch channels height width"], level: Tensor | None = None
    ) -> Float[Tensor, "batch channels height width"]:
        return self._forward(u, level, functional.silu)

    def _forward(self, u: Tensor, level: Tensor | None, act: Callable[[Tensor], Tensor]) -> Tensor:
        h = self.first(self._inputs(u, level))
        for layer in self.before:
            h = h + layer(act(h))
        g = self.down(act(h))
        for layer in self.coarse:
            g = g + layer(act(g))
        h = h + self.up(act(g))
        for layer in self.after:
            h = h + layer(act(h))
        return functional.pixel_shuffle(self.last(act(h)), 2)

    def value_and_pullback(
        self,
        u: Float[Tensor, "batch channels height width"],
        cotangent: Float[Tensor, "batch channels height width"],
        level: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """``N(u)`` and the gradient of ``cotangent . N(u)`` (reverse mode), shaped like ``u``."""
        slopes: list[Tensor] = []

        def act(a: Tensor) -> Tensor:
            value, slope = silu(a)
            slopes.append(slope)
            return value

        value = self._forward(u, level, act)
        p = self._back(functional.pixel_unshuffle(cotangent, 2), slopes)
        return value, functional.pixel_shuffle(p[:, : 4 * self.channels], 2)

    def _back(self, p: Tensor, slopes: list[Tensor]) -> Tensor:
        p = self.last.adjoint(p) * slopes.pop()
        for layer in _back_to_front(self.after):
            p = p + layer.adjoint(p) * slopes.pop()
        q = self.up.adjoint(p) * slopes.pop()
        for layer in _back_to_front(self.coarse):
            q = q + layer.adjoint(q) * slopes.pop()
        p = p + self.down.adjoint(q) * slopes.pop()
        for layer in _back_to_front(self.before):
            p = p + layer.adjoint(p) * slopes.pop()
        return self.first.adjoint(p)


def _layers(width: int, depth: int) -> nn.ModuleList:
    """Residual layers, with small initial weights, since nothing is normalised."""
    layers = [Convolution(width, width) for _ in range(depth)]
    for layer in layers:
        layer.weight.data.mul_(0.3)
    return nn.ModuleList(layers)


def _back_to_front(layers: nn.ModuleList) -> list[Convolution]:
    return cast(list[Convolution], list(layers))[::-1]
