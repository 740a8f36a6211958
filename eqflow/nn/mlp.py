"""A smooth multilayer perceptron whose derivatives are explicit passes.

With layers ``a_l = W_l h_{l-1} + b_l``, ``h_l = silu(a_l)`` and a linear last layer, the forward
pass below carries tangents (for a divergence), the backward one a cotangent (for the gradient of an
energy). Both are plain tensor code: they can be differentiated again, run in inference mode, and
cost several times less than a nested automatic derivative.
"""

from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqflow.errors import InputError


def silu(a: Tensor) -> tuple[Tensor, Tensor]:
    """``silu(a) = a g`` and its slope ``g + a g (1 - g)``, with ``g = sigmoid(a)``."""
    g = torch.sigmoid(a)
    h = a * g
    return h, g + h * (1 - g)


class MLP(nn.Module):
    """Perceptron with ``depth`` SiLU layers of ``width`` units.

    Maps ``(batch, inputs)`` to ``(batch, outputs)``. ``constant=False`` leaves out the bias of the
    last layer, on which the gradient of an energy does not depend. Raises ``InputError`` for
    ``width < 1`` and ``depth < 1``.

    >>> mlp = MLP(3, 2)
    >>> value, columns = mlp.pushforward(torch.ones(5, 3), torch.eye(3)[:, None])
    >>> columns.shape  # of the Jacobian, at each of 5 states
    torch.Size([3, 5, 2])
    """

    def __init__(
        self, inputs: int, outputs: int, width: int = 64, depth: int = 3, constant: bool = True
    ) -> None:
        super().__init__()
        if width < 1 or depth < 1:
            raise InputError(f"width={width}, depth={depth} found; expected both >= 1")
        widths = [inputs, *[width] * depth]
        pairs = pairwise(widths)
        self.hidden = nn.ModuleList(nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairs)
        self.last = nn.Linear(width, outputs, bias=constant)

    @torch.no_grad()
    def sharpen_(self, gain: float, inputs: int | None = None) -> None:
        """Multiply the first layer's bias and its weights on the first ``inputs`` by ``gain``."""
        first = self._layers()[0]
        first.weight[:, :inputs].mul_(gain)
        first.bias.mul_(gain)

    def _layers(self) -> list[nn.Linear]:
        return cast(list[nn.Linear], list(self.hidden))

    def forward(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch outputs"]:
        for layer in self.hidden:
            x = nn.functional.silu(layer(x))
        return self.last(x)

    def pushforward(
        self, x: Float[Tensor, "batch inputs"], tangents: Float[Tensor, "n #batch inputs"]
    ) -> tuple[Float[Tensor, "batch outputs"], Float[Tensor, "n batch outputs"]]:
        """Value and Jacobian-vector products along ``n`` tangents (forward mode)."""
        for layer in self._layers():
            x, slope = silu(layer(x))
            tangents = (tangents @ layer.weight.T) * slope
        return self.last(x), tangents @ self.last.weight.T

    def pullback(
        self, x: Float[Tensor, "batch inputs"], cotangent: Float[Tensor, "#batch outputs"]
    ) -> Float[Tensor, "batch inputs"]:
        """Vector-Jacobian product, the gradient of ``cotangent . forward(x)`` (reverse mode)."""
        slopes = []
        for layer in self._layers():
            x, slope = silu(layer(x))
            slopes.append(slope)
        cotangent = cotangent @ self.last.weight
        for layer, slope in zip(self._layers()[::-1], slopes[::-1], strict=True):
            cotangent = (cotangent * slope) @ layer.weight
        return cotangent
