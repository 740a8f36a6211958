"""Moments of a library of terms in the weak form, and their covariance (method section 5).

A field ``v_j = sum_a xi[a, j] theta_a`` of a library has the moments ``g_m = E[v . grad phi_m]``,
which are linear in its coefficients, ``g = G xi``. The coefficients are called unknowns and are
flattened as ``k = a * dim + j``.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Sums(NamedTuple):
    """Sums over snapshots from which the moments of a library follow.

    Their size does not grow with the number of snapshots, and sums over parts of the data add up.
    ``tested`` are sums of the terms against every test function, of which the moments are linear
    combinations, ``gram`` those of ``theta_a theta_b``, over ``states`` snapshots.
    """

    tested: Float[Tensor, "functions terms *more"]
    gram: Float[Tensor, "terms terms"]
    states: int

    def plus(self, other: "Sums") -> "Sums":
        """Sums over the snapshots of both."""
        tested, gram = self.tested + other.tested, self.gram + other.gram
        return Sums(tested, gram, self.states + other.states)

    def part(self, functions: int, columns: Tensor) -> "Sums":
        """Sums of the first ``functions`` test functions and of the terms in ``columns``."""
        gram = self.gram[columns][:, columns]
        return Sums(self.tested[:functions, columns], gram, self.states)


class Form(ABC):
    """Moments of a library on snapshots, and their covariance on a sample of these.

    An observation is a snapshot, or a block of an image. Everything is standardised, and every term
    is scaled to unit root mean square.

    Attributes:
        dim: Number of equations.
        sample_size: Number of observations that the covariance is taken over.
        count: Number of observations that the mean moments are taken over.
        effective_size: Number of independent observations whose mean has the same variance.
        rms: Root mean squares of the terms, which they were divided by.
        gram: Means of the products of two terms.
        plain_jacobian: Mean moments of every unknown against every test function.
    """

    dim: int
    sample_size: int
    count: float
    effective_size: float
    rms: Float[Tensor, " terms"]
    gram: Float[Tensor, "terms terms"]
    plain_jacobian: Float[Tensor, "functions unknowns"]

    @property
    @abstractmethod
    def mix(self) -> Float[Tensor, "functions m"]:
        """Coefficients of ``m`` combined test functions, whose moments are nearly uncorrelated."""

    @abstractmethod
    def moments(self, xi: Float[Tensor, " unknowns"]) -> Float[Tensor, "n functions"]:
        """``v . grad phi_m`` of every observation, for the test functions as they were drawn."""

    @abstractmethod
    def moments_along(self, u: Float[Tensor, " m"]) -> Float[Tensor, "n unknowns"]:
        """``theta_k . grad f`` of every observation, for the combination ``f = u . phi``."""

    @abstractmethod
    def weighted_jacobian(
        self, weights: Float[Tensor, " n"]
    ) -> Float[Tensor, "functions unknowns"]:
        """Mean over the sample of every unknown's moments, times a weight of each observation."""

    @abstractmethod
    def sampling_covariance(self, root: Float[Tensor, "m r"]) -> Float[Tensor, "unknowns unknowns"]:
        """``B_kl = sum_r cov(theta_k . grad f_r, theta_l . grad f_r)`` over observations.

        The ``f_r`` are the combinations of test functions in the columns of ``root``.
        """

    def set_effective_size(self, xi: Float[Tensor, " unknowns"]) -> None:  # noqa: B027 - optional
        """Set ``effective_size`` to that of the moments of one field, if observations correlate."""

    @cached_property
    def jacobian(self) -> Float[Tensor, "m unknowns"]:
        """Mean moments ``G`` of every unknown against the combined test functions."""
        return self.mix.T @ self.plain_jacobian

    @property
    def metric(self) -> Float[Tensor, "unknowns unknowns"]:
        """Matrix ``S`` of the inner product ``xi . S eta = E[v . w]`` of two fields."""
        return torch.kron(self.gram, torch.eye(self.dim).to(self.gram))

    def cosines(
        self, fields: Float[Tensor, "n unknowns"], xi: Float[Tensor, " unknowns"]
    ) -> Float[Tensor, " n"]:
        """Cosines ``E[v . w] / sqrt(E|v|^2 E|w|^2)`` of fields to the field ``xi``."""
        metric = self.metric
        norms = ((fields @ metric) * fields).sum(1).sqrt() * (xi @ metric @ xi).sqrt()
        return fields @ metric @ xi / norms

    def normalised(self, xi: Float[Tensor, " unknowns"]) -> Float[Tensor, " unknowns"]:
        """The same field at unit speed, ``E |v|^2 / dim = 1``."""
        x = xi.view(-1, self.dim)
        return xi * ((x * (self.gram @ x)).sum() / self.dim).rsqrt()

    def covariance(
        self, xi: Float[Tensor, " unknowns"]
    ) -> tuple[Float[Tensor, "m m"], Float[Tensor, "n functions"]]:
        """Covariance of the combined moments over observations, and the moments before mixing."""
        h = self.moments(xi)
        mean = self.mix.T @ h.mean(0)
        return self.mix.T @ (h.T @ h / self.sample_size) @ self.mix - torch.outer(mean, mean), h


MIN_VARIANCE_RATIO = 1e-5
"""Variance, relative to the largest, below which a combination of test functions is left out."""


def uncorrelated(covariance: Float[Tensor, "k k"], dim: int) -> Float[Tensor, "k m"]:
    """Uncorrelated combinations, with variance ``dim``, of variables with this covariance."""
    scale = (dim / covariance.diagonal()).sqrt()
    variances, axes = torch.linalg.eigh(covariance * torch.outer(scale, scale) / dim)
    kept = variances > MIN_VARIANCE_RATIO * variances[-1]
    return scale[:, None] * axes[:, kept] * variances[kept].rsqrt()
