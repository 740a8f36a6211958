"""Test functions of the weak form: random waves at several length scales (method section 5).

A distribution ``p`` is stationary under ``v`` exactly if ``E_p[v . grad phi] = 0`` for all smooth
``phi``. For ``phi_m(z) = cos(w_m . z + b_m)`` the gradient is ``-sin(w_m . z + b_m) w_m``; the
factor ``-sin(w_m . z + b_m)`` is called the slope of the function.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from math import log, pi
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.runtime import Draws, generator

MIN_PRINCIPAL_VARIANCE = 1e-3
"""Smallest variance of a principal direction of standardised states that is resolved."""


WavesType = TypeVar("WavesType", bound="RandomWaves")


@dataclass(frozen=True, eq=False)
class RandomWaves(ABC):
    """Waves ``cos(w_m . f(z) + b_m)`` of features ``f`` of a standardised state, float64.

    ``frequencies`` (functions, inputs) are the ``w_m``, ``phases`` (functions,) the ``b_m``.
    """

    frequencies: Float[Tensor, "functions inputs"]
    phases: Float[Tensor, " functions"]

    def __len__(self) -> int:
        return len(self.phases)

    def first(self: WavesType, count: int) -> WavesType:
        """The first ``count`` functions."""
        return replace(self, frequencies=self.frequencies[:count], phases=self.phases[:count])

    def to(self: WavesType, device: torch.device | str) -> WavesType:
        """The same functions on another device."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        tensors = {name: v.to(device) for name, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **tensors)

    @abstractmethod
    def moments(
        self, velocity: Float[Tensor, "n *shape"], z: Float[Tensor, "n *shape"]
    ) -> Float[Tensor, "n functions"]:
        """``v . grad phi_m`` at every standardised state ``z``, float64."""


class FourierFunctions(RandomWaves):
    """Test functions ``phi_m(z) = cos(w_m . z + b_m)`` of standardised vectors ``z``."""

    @classmethod
    def of(
        cls,
        z: Float[Tensor, "n dim"],
        count: int = 250,
        scales: tuple[float, float] = (0.3, 4.0),
        seed: int = 0,
    ) -> "FourierFunctions":
        """Draw ``count`` functions whose length scales follow the standardised states ``z``.

        Inverse lengths are log-uniform between the two ``scales``. Every other function counts them
        in standard deviations of the features, the rest in those of the principal directions, so
        that directions in which the data are thin are resolved too.
        """
        draw, dim = generator(seed, Draws.TEST_FUNCTIONS), z.shape[1]
        w, t = (torch.randn(count, k, generator=draw, dtype=torch.double) for k in (dim, 1))
        low, high = log(scales[0]), log(scales[1])
        w = w * torch.exp(low + (high - low) * torch.special.ndtr(t))
        w[1::2] = w[1::2] @ _whitening(z.double().cpu())
        phases = 2 * pi * torch.rand(count, generator=draw, dtype=torch.double)
        return cls(w.to(z.device), phases.to(z.device))

    def angles(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n functions"]:
        """Arguments ``w_m . z + b_m`` of the waves."""
        return torch.addmm(self.phases, z, self.frequencies.T)

    def slopes(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n functions"]:
        """Slopes ``-sin(w_m . z + b_m)``; the gradient of ``phi_m`` is its slope times ``w_m``."""
        return self.angles(z).sin_().neg_()

    def moments(
        self, velocity: Float[Tensor, "n dim"], z: Float[Tensor, "n dim"]
    ) -> Float[Tensor, "n functions"]:
        return self.slopes(z.double()) * (velocity.double() @ self.frequencies.T)


def _whitening(z: Float[Tensor, "n dim"]) -> Float[Tensor, "dim dim"]:
    variances, directions = torch.linalg.eigh(torch.cov(z.T))
    return (directions * variances.clamp_min(MIN_PRINCIPAL_VARIANCE).rsqrt()) @ directions.T
