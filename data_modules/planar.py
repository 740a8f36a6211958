"""Data sets ``two_peaks``, ``ring`` and ``two_moons``: distributions on the plane.

They are those of Zhang & Levin (method section 9); no true velocity is known.
"""

from abc import abstractmethod
from math import pi

import torch
from jaxtyping import Float
from torch import Tensor

from data_modules.base import SyntheticModule
from eqflow.runtime import Draws, generator
from eqflow.systems import Sample


class Planar(SyntheticModule):
    """Snapshots of a distribution on the plane, which a subclass draws from."""

    shape = (2,)

    def sample(self, n: int) -> Sample:
        return Sample(self.draw(n, generator(self.seed, Draws.SNAPSHOTS)))

    @staticmethod
    @abstractmethod
    def draw(n: int, generator: torch.Generator) -> Float[Tensor, "n 2"]:
        """``n`` independent raw states."""


class TwoPeaks(Planar):
    """Mixture of ``N((-1, -1), 0.25 I)`` and ``N((1, 1), 0.25 I)`` with equal weights."""

    @staticmethod
    def draw(n: int, generator: torch.Generator) -> Float[Tensor, "n 2"]:
        peak = 2.0 * torch.randint(2, (n, 1), generator=generator) - 1
        return peak + 0.5 * torch.randn(n, 2, generator=generator)


class Ring(Planar):
    """Uniform distribution on the annulus ``1 <= r <= 2``."""

    @staticmethod
    def draw(n: int, generator: torch.Generator) -> Float[Tensor, "n 2"]:
        u, angle = torch.rand(n, generator=generator), 2 * pi * torch.rand(n, generator=generator)
        return (1 + 3 * u).sqrt()[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)


class TwoMoons(Planar):
    """Two interleaved half circles of radius 1 with noise ``N(0, 0.01 I)``."""

    @staticmethod
    def draw(n: int, generator: torch.Generator) -> Float[Tensor, "n 2"]:
        angle = pi * torch.rand(n, generator=generator)
        upper = torch.stack([angle.cos(), angle.sin()], dim=1)
        lower = torch.tensor([1.0, 0.5]) - upper
        is_upper = torch.randint(2, (n, 1), generator=generator).bool()
        return torch.where(is_upper, upper, lower) + 0.1 * torch.randn(n, 2, generator=generator)
