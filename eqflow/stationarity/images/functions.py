"""Test functionals of images: averages over the grid of waves of local linear features.

``phi_m(z) = mean_r cos(w_m . f(z)(r) + b_m)``, where ``f(z)(r)`` are features of every channel
around the place ``r``. The rate of ``phi_m`` along a velocity ``v`` is ``v . grad phi_m = mean_r
-sin(w_m . f(z)(r) + b_m) w_m . f(v)(r)`` (method section 5).
"""

from dataclasses import dataclass
from functools import cache
from math import log, pi

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.runtime import Draws, generator
from eqflow.stationarity.functions import RandomWaves
from eqflow.terms import OPERATORS

Image = Float[Tensor, "*batch height width"]


MAX_JOINT_FEATURES = 2
"""Largest number of features, drawn at random, that one functional depends on."""


@cache
def _symbols(height: int, width: int, device: torch.device) -> Float[Tensor, "2 height half"]:
    """Fourier multipliers of the Laplacian and of two averages over the nearest neighbours."""
    y = 2 * pi * torch.fft.fftfreq(height, dtype=torch.double, device=device)[:, None]
    x = 2 * pi * torch.fft.rfftfreq(width, dtype=torch.double, device=device)
    blur = ((1 + y.cos()) * (1 + x.cos()) / 4) ** 2
    return torch.stack([2 * y.cos() + 2 * x.cos() - 4, blur])


def features(x: Image, directed: bool = False) -> Float[Tensor, "features *batch height width"]:
    """Local linear features of images: the values, their Laplacian and a blur, float64.

    With ``directed`` also the two components of the gradient. Without these the functionals are
    unchanged by a reflection of the grid, and where the reflection keeps the distribution they do
    not detect fields that it reverses.
    """
    sides = (x.shape[-2], x.shape[-1])
    symbols = _symbols(*sides, x.device).unflatten(0, (-1, *(1,) * (x.ndim - 2)))
    slopes = [OPERATORS[name][0](x)[None] for name in ("dx", "dy") if directed]
    return torch.cat([x[None], torch.fft.irfft2(torch.fft.rfft2(x) * symbols, s=sides), *slopes])


@dataclass(frozen=True, eq=False)
class LocalFunctions(RandomWaves):
    """Test functionals ``phi_m`` of standardised images.

    ``frequencies`` (functions, features x channels) multiply features less their ``mean`` and
    divided by their ``std``, each (features, channels). Functionals of one ``seed`` are the same up
    to their number; ``directed`` ones look at gradients too.
    """

    mean: Float[Tensor, "features channels"]
    std: Float[Tensor, "features channels"]
    seed: int
    directed: bool = False

    @classmethod
    def of(
        cls,
        z: Float[Tensor, "n channels height width"],
        count: int = 250,
        scales: tuple[float, float] = (0.3, 3.0),
        seed: int = 0,
        directed: bool = False,
    ) -> "LocalFunctions":
        """Draw ``count`` functionals, each of at most ``MAX_JOINT_FEATURES`` features.

        Frequencies are log-uniform between the two ``scales``, in inverse standard deviations of a
        feature over the standardised images ``z``.
        """
        f, draw = features(z.double(), directed), generator(seed, Draws.TEST_FUNCTIONS)
        mean, std = f.mean((1, 3, 4)), f.std((1, 3, 4))
        size, low, high = std.numel(), log(scales[0]), log(scales[1])
        w = torch.randn(count, size, generator=draw, dtype=torch.double)
        order = torch.rand(count, size, generator=draw).argsort(1).argsort(1)
        chosen = order < torch.randint(1, MAX_JOINT_FEATURES + 1, (count, 1), generator=draw)
        level = torch.rand(count, 1, generator=draw, dtype=torch.double)
        phases = 2 * pi * torch.rand(count, generator=draw, dtype=torch.double)
        w = w * chosen * torch.exp(low + (high - low) * level)
        return cls(w.to(z.device), phases.to(z.device), mean, std, seed, directed)

    def features(self, x: Image) -> Float[Tensor, "features *batch height width"]:
        """Features of images that the functionals depend on."""
        return features(x, self.directed)

    def slopes(
        self, z: Float[Tensor, "channels height width"]
    ) -> Float[Tensor, "functions height width"]:
        """Slopes ``-sin(w_m . f + b_m)`` at each place of one image."""
        scale = (len(self.std), -1, 1, 1)
        f = (self.features(z) - self.mean.view(scale)) / self.std.view(scale)
        angles = torch.addmm(self.phases[:, None], self.frequencies, f.flatten(2).flatten(0, 1))
        return angles.sin_().neg_().view(-1, *z.shape[1:])

    @property
    def weights(self) -> Float[Tensor, "functions features channels"]:
        """Factors of the features of a velocity in ``v . grad phi_m``."""
        return self.frequencies.view(-1, *self.std.shape) / self.std

    def moments(
        self,
        velocity: Float[Tensor, "n channels height width"],
        z: Float[Tensor, "n channels height width"],
    ) -> Float[Tensor, "n functions"]:
        moments = []
        for v, image in zip(velocity.double(), z.double(), strict=True):
            along = self.weights.flatten(1) @ self.features(v).flatten(2).flatten(0, 1)
            moments.append((self.slopes(image).flatten(1) * along).mean(1))
        return torch.stack(moments)
