"""The weak form of a library field: its moments against test functions, and their covariance.

A library field ``v_j = sum_a xi[a, j] theta_a`` has moments ``g(xi) = G xi``, linear in ``xi``
(METHOD section 5). Unknowns are flattened as ``k = a * dim + j``.
"""

from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.stationarity.functions import FourierFunctions


class Sums(NamedTuple):
    """What a pass over all snapshots leaves: memory does not grow with their number.

    ``tested`` is the sum of ``slope_m theta_a``, ``gram`` that of ``theta_a theta_b``, over
    ``states`` states; sums over parts of the data add up.
    """

    tested: Float[Tensor, "functions terms"]
    gram: Float[Tensor, "terms terms"]
    states: int

    def plus(self, other: "Sums") -> "Sums":
        """Sums over the states of both."""
        tested, gram = self.tested + other.tested, self.gram + other.gram
        return Sums(tested, gram, self.states + other.states)


NEGLIGIBLE = 1e-5
"""Relative variance below which a combination of test functions is left out."""


def sums(
    z: Float[Tensor, "n dim"], theta: Float[Tensor, "n terms"], functions: FourierFunctions
) -> Sums:
    """Sums over standardised states ``z`` where the terms have the values ``theta``."""
    return Sums(functions.slopes(z).T @ theta, theta.T @ theta, len(z))


class WeakForm:
    """Moments of a library on standardised snapshots, and their covariance on a sample of them.

    ``z`` is the sample and ``theta`` (n, terms) the values of the terms there; ``total`` the sums
    over all snapshots, those of the sample if left out. Unknowns are in standardised units, those
    of a term scaled to unit rms, ``rms`` (terms,): to test a fit on other snapshots pass its
    ``rms``. ``plain_jacobian`` (functions, unknowns) holds the moments of every unknown against
    every function. The test functions are combined to ``m`` whose moments are uncorrelated, with
    variance ``dim``, for a velocity that is isotropic and independent of the state.
    """

    def __init__(
        self,
        z: Float[Tensor, "n dim"],
        theta: Float[Tensor, "n terms"],
        functions: FourierFunctions,
        total: Sums | None = None,
        rms: Float[Tensor, " terms"] | None = None,
    ) -> None:
        self.size, self.dim = z.shape
        self.frequencies, self.slopes = functions.frequencies, functions.slopes(z)
        tested, gram, self.total = total or Sums(self.slopes.T @ theta, theta.T @ theta, len(z))
        self.rms = (gram.diagonal() / self.total).sqrt() if rms is None else rms
        self.theta, self.gram = (
            theta / self.rms,
            gram / self.total / torch.outer(self.rms, self.rms),
        )
        plain = (tested / self.total / self.rms)[:, :, None] * self.frequencies[:, None, :]
        self.plain_jacobian = plain.flatten(1)

    @cached_property
    def mix(self) -> Float[Tensor, "functions m"]:
        """Coefficients of the combined functions."""
        return _uncorrelated(self.slopes, self.frequencies)

    @cached_property
    def jacobian(self) -> Float[Tensor, "m unknowns"]:
        """Moments of every unknown against the combined functions."""
        return self.mix.T @ self.plain_jacobian

    @property
    def metric(self) -> Float[Tensor, "unknowns unknowns"]:
        """``S`` of ``xi . S xi = E |v|^2``."""
        return torch.kron(self.gram, torch.eye(self.dim).to(self.gram))

    def normalised(self, xi: Float[Tensor, " unknowns"]) -> Float[Tensor, " unknowns"]:
        """``xi`` at unit speed, ``E |v|^2 / d = 1``."""
        x = xi.view(-1, self.dim)
        return xi * ((x * (self.gram @ x)).sum() / self.dim).rsqrt()

    def moments(self, xi: Float[Tensor, " unknowns"]) -> Float[Tensor, "n functions"]:
        """``v . grad phi_m`` at every state, for the plain test functions."""
        velocity = self.theta @ xi.view(-1, self.dim)
        return (velocity @ self.frequencies.T).mul_(self.slopes)

    def along(self, u: Float[Tensor, " m"]) -> Float[Tensor, "n unknowns"]:
        """``theta_k . grad f`` at every state, for the combination ``f = u . phi``."""
        gradient = self.slopes @ ((self.mix @ u)[:, None] * self.frequencies)
        return (self.theta[:, :, None] * gradient[:, None, :]).flatten(1)

    def covariance(self, xi: Float[Tensor, " unknowns"]) -> tuple[Tensor, Tensor]:
        """Centred covariance of the combined moments, ``(m, m)``, and the plain moments."""
        h = self.moments(xi)
        mean = self.mix.T @ h.mean(0)
        return self.mix.T @ (h.T @ h / self.size) @ self.mix - torch.outer(mean, mean), h

    def noise(self, root: Float[Tensor, "m r"]) -> Float[Tensor, "unknowns unknowns"]:
        """``B_kl = cov(theta_k . grad phi, theta_l . grad phi)`` weighted by ``root root^T``."""
        mix, dim = self.mix @ root, self.dim
        gradients = [self.slopes @ (w[:, None] * mix) for w in self.frequencies.T]
        blocks = self.gram.new_empty(len(self.gram), dim, len(self.gram), dim)
        for j in range(dim):
            for k in range(j + 1):
                weight = (gradients[j] * gradients[k]).sum(1)
                block = (self.theta * weight[:, None]).T @ self.theta / self.size
                blocks[:, j, :, k], blocks[:, k, :, j] = block, block.T
        mean = root.T @ self.jacobian
        return blocks.flatten(2).flatten(0, 1) - mean.T @ mean


def _uncorrelated(slopes: Tensor, frequencies: Tensor) -> Float[Tensor, "functions m"]:
    isotropic = (slopes.T @ slopes / len(slopes)) * (frequencies @ frequencies.T)
    scale = (frequencies.shape[1] / isotropic.diagonal()).sqrt()
    variances, axes = torch.linalg.eigh(isotropic * torch.outer(scale, scale) / len(frequencies.T))
    kept = variances > NEGLIGIBLE * variances[-1]
    return scale[:, None] * axes[:, kept] * variances[kept].rsqrt()
