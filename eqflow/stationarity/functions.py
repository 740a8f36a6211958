"""Test functions of the weak form: random Fourier features at several length scales.

``p`` is stationary under ``v`` iff ``E_p[v . grad phi] = 0`` for all smooth ``phi`` (METHOD
section 5). Here ``phi_m(z) = cos(w_m . z + b_m)``, so ``grad phi_m = slope_m w_m``.
"""

from dataclasses import dataclass
from math import log, pi

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.runtime import Draws, generator

FLATTEST = 1e-3
"""Smallest variance, relative to a feature's, that a principal direction is resolved at."""


@dataclass(frozen=True, eq=False)
class FourierFunctions:
    """``phi_m(z) = cos(w_m . z + b_m)`` of standardised states.

    ``frequencies`` has shape ``(functions, dim)``, ``phases`` ``(functions,)``, float64.
    """

    frequencies: Float[Tensor, "functions dim"]
    phases: Float[Tensor, " functions"]

    @classmethod
    def of(
        cls,
        z: Float[Tensor, "n dim"],
        count: int = 250,
        scales: tuple[float, float] = (0.3, 4.0),
        seed: int = 0,
    ) -> "FourierFunctions":
        """``count`` functions whose length scales follow standardised states ``z``.

        Inverse lengths are log-uniform in ``scales``: every other function counts them in standard
        deviations of the features, the rest in those of the principal directions, so that thin
        directions of the data are resolved too.
        """
        draw, dim = generator(seed, Draws.TEST_FUNCTIONS), z.shape[1]
        w, t = (torch.randn(count, k, generator=draw, dtype=torch.double) for k in (dim, 1))
        low, high = log(scales[0]), log(scales[1])
        uniform = torch.special.ndtr(t)
        w = w * torch.exp(low + (high - low) * uniform)
        w[1::2] = w[1::2] @ _whitening(z.double().cpu())
        phases = 2 * pi * torch.rand(count, generator=draw, dtype=torch.double)
        return cls(w.to(z.device), phases.to(z.device))

    def to(self, device: torch.device | str) -> "FourierFunctions":
        """The same functions on another device."""
        return FourierFunctions(self.frequencies.to(device), self.phases.to(device))

    def first(self, count: int) -> "FourierFunctions":
        """The first ``count`` of them."""
        return FourierFunctions(self.frequencies[:count], self.phases[:count])

    def __len__(self) -> int:
        return len(self.phases)

    def angles(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n functions"]:
        """``w_m . z + b_m``."""
        return torch.addmm(self.phases, z, self.frequencies.T)

    def slopes(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n functions"]:
        """``-sin(w_m . z + b_m)``: the gradient of ``phi_m`` is this times ``w_m``."""
        return self.angles(z).sin_().neg_()

    def moments(
        self, velocity: Float[Tensor, "n dim"], z: Float[Tensor, "n dim"]
    ) -> Float[Tensor, "n functions"]:
        """``v . grad phi_m`` of every state, float64."""
        return self.slopes(z.double()) * (velocity.double() @ self.frequencies.T)


def _whitening(z: Float[Tensor, "n dim"]) -> Float[Tensor, "dim dim"]:
    variances, directions = torch.linalg.eigh(torch.cov(z.T))
    return (directions * variances.clamp_min(FLATTEST).rsqrt()) @ directions.T
