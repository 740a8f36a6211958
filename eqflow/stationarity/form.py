"""What every weak form offers to a fit: moments of a library, and their covariance.

A library field ``v_j = sum_a xi[a, j] theta_a`` has moments ``g(xi) = G xi``, linear in ``xi``
(method section 5). Unknowns are flattened as ``k = a * dim + j``.
"""

from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Sums(NamedTuple):
    """What a pass over all snapshots leaves: memory does not grow with their number.

    ``tested`` are sums of what moments are made of, ``gram`` those of ``theta_a theta_b``, over
    ``states`` states; sums over parts of the data add up.
    """

    tested: Float[Tensor, "functions terms *more"]
    gram: Float[Tensor, "terms terms"]
    states: int

    def plus(self, other: "Sums") -> "Sums":
        """Sums over the states of both."""
        tested, gram = self.tested + other.tested, self.gram + other.gram
        return Sums(tested, gram, self.states + other.states)

    def part(self, functions: int, columns: Tensor) -> "Sums":
        """Those of the first functions and of some of the terms."""
        gram = self.gram[columns][:, columns]
        return Sums(self.tested[:functions, columns], gram, self.states)


class Form:
    """Moments of a library on snapshots, and their covariance on a sample of them.

    ``dim`` is the number of equations, ``size`` that of observations in the sample, ``count`` that
    of those that means are taken over and ``total`` that of as many independent ones. Unknowns are
    in standardised units, those of a term scaled to unit rms, ``rms`` (terms,); ``gram`` holds the
    means of products of terms. ``plain_jacobian`` (functions, unknowns) are the moments of every
    unknown against every function. Functions are combined by ``mix`` to ``m`` whose moments are
    about uncorrelated.
    """

    dim: int
    size: int
    count: float
    total: float
    rms: Float[Tensor, " terms"]
    gram: Float[Tensor, "terms terms"]
    plain_jacobian: Float[Tensor, "functions unknowns"]

    @cached_property
    def mix(self) -> Float[Tensor, "functions m"]:
        """Coefficients of the combined functions."""
        raise NotImplementedError

    def moments(self, xi: Float[Tensor, " unknowns"]) -> Float[Tensor, "n functions"]:
        """``v . grad phi_m`` of every observation, for the plain test functions."""
        raise NotImplementedError

    def along(self, u: Float[Tensor, " m"]) -> Float[Tensor, "n unknowns"]:
        """``theta_k . grad f`` of every observation, for the combination ``f = u . phi``."""
        raise NotImplementedError

    def noise(self, root: Float[Tensor, "m r"]) -> Float[Tensor, "unknowns unknowns"]:
        """``B_kl = cov(theta_k . grad phi, theta_l . grad phi)`` weighted by ``root root^T``."""
        raise NotImplementedError

    def set_effective_size(self, xi: Float[Tensor, " unknowns"]) -> None:
        """Count ``total`` at a field, where observations are correlated: it depends on it."""

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

    def covariance(self, xi: Float[Tensor, " unknowns"]) -> tuple[Tensor, Tensor]:
        """Centred covariance of the combined moments, ``(m, m)``, and the plain moments."""
        h = self.moments(xi)
        mean = self.mix.T @ h.mean(0)
        return self.mix.T @ (h.T @ h / self.size) @ self.mix - torch.outer(mean, mean), h


NEGLIGIBLE = 1e-5
"""Relative variance below which a combination of test functions is left out."""


def uncorrelated(covariance: Float[Tensor, "k k"], dim: int) -> Float[Tensor, "k m"]:
    """Combinations whose covariance is ``dim`` times the identity."""
    scale = (dim / covariance.diagonal()).sqrt()
    variances, axes = torch.linalg.eigh(covariance * torch.outer(scale, scale) / dim)
    kept = variances > NEGLIGIBLE * variances[-1]
    return scale[:, None] * axes[:, kept] * variances[kept].rsqrt()
