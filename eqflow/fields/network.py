"""Learned velocity fields: a perceptron of vectors, an isotropic convolutional net of images."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from eqflow.errors import InputError
from eqflow.fields.base import VelocityField
from eqflow.nn import MLP
from eqflow.nn.convolution import IsotropicConvolution


class Network(VelocityField):
    """Perceptron of vectors, plain or on Fourier features, with an exact divergence.

    ``fourier`` random frequencies with standard deviation ``bandwidth`` add the features
    ``cos(w . x), sin(w . x)`` (Tancik et al. 2020, arXiv 2006.10739); 0 gives the plain perceptron.
    ``gain`` multiplies the first layer's initial weights. The weights follow torch's global seed.
    Raises ``InputError`` for images and for ``fourier < 0``.
    """

    frequencies: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int = 64,
        depth: int = 4,
        fourier: int = 0,
        bandwidth: float = 1.0,
        gain: float = 3.0,
    ) -> None:
        super().__init__(shape)
        if len(shape) != 1:
            raise InputError(
                f"flow=network takes vectors of shape (d,), found snapshots of shape {shape}"
            )
        if fourier < 0:
            raise InputError(f"flow.field.fourier={fourier} found; expected a whole number >= 0")
        self.register_buffer("frequencies", bandwidth * torch.randn(fourier, self.dim))
        self.network = MLP(self.dim + 2 * fourier, self.dim, width, depth)
        self.network.sharpen_(gain)

    def _features(self, x: Tensor) -> Tensor:
        if not len(self.frequencies):
            return x
        phase = x @ self.frequencies.T
        return torch.cat([x, phase.cos(), phase.sin()], dim=1)

    def _feature_tangents(self, x: Tensor) -> Float[Tensor, "dim #batch features"]:
        basis = torch.eye(self.dim, dtype=x.dtype, device=x.device)[:, None, :]
        if not len(self.frequencies):
            return basis
        phase, slope = x @ self.frequencies.T, self.frequencies.T[:, None, :]
        return torch.cat(
            [basis.expand(-1, len(x), -1), -phase.sin() * slope, phase.cos() * slope], 2
        )

    def unscaled(self, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        return self.network(self._features(x))

    def value_and_divergence(
        self, x: Float[Tensor, "batch dim"]
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, " batch"]]:
        """``v(x)`` and ``div v(x)`` in one forward pass with ``d`` tangents."""
        v, jvps = self.network.pushforward(self._features(x), self._feature_tangents(x))
        return self.scale * (v - self.mean), self.scale * jvps.diagonal(dim1=0, dim2=2).sum(1)

    @torch.no_grad()
    def reverse_(self) -> "Network":
        """Replace the field by ``-v``, which preserves what ``v`` preserves."""
        for parameter in (*self.network.last.parameters(), self.mean):
            parameter.neg_()
        return self


class IsotropicNetwork(VelocityField):
    """Convolutional net of images that commutes with rolls, quarter turns and mirrors.

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
