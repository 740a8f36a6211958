"""The weak form of a library field: its moments against test functions, and their covariance.

A library field ``v_j = sum_a xi[a, j] theta_a`` has moments ``g(xi) = G xi``, linear in ``xi``
(METHOD section 5). Unknowns are flattened as ``k = a * dim + j``.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.stationarity.functions import FourierFunctions

NEGLIGIBLE = 1e-5
"""Relative variance below which a combination of test functions is left out."""


class WeakForm:
    """Moments of a library on a sample of standardised states.

    ``theta`` are the values of the terms, ``(n, terms)``, scaled to unit rms; velocities are in
    standardised units. The test functions are combined to ``m`` whose moments are uncorrelated
    with unit variance for a velocity that is isotropic and independent of the state.
    """

    def __init__(
        self,
        z: Float[Tensor, "n dim"],
        theta: Float[Tensor, "n terms"],
        functions: FourierFunctions,
    ) -> None:
        self.size, self.dim = z.shape
        self.theta, self.frequencies = theta, functions.frequencies
        self.slopes = functions.slopes(z)
        self.total = self.size
        self.gram = theta.T @ theta / self.size
        self.mix = _uncorrelated(self.slopes, self.frequencies)
        raw = (self.slopes.T @ theta / self.size)[:, :, None] * self.frequencies[:, None, :]
        self.jacobian = self.mix.T @ raw.flatten(1)

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
        return self.slopes * (velocity @ self.frequencies.T)

    def along(self, u: Float[Tensor, " m"]) -> Float[Tensor, "n unknowns"]:
        """``theta_k . grad f`` at every state, for the combination ``f = u . phi``."""
        gradient = self.slopes @ ((self.mix @ u)[:, None] * self.frequencies)
        return (self.theta[:, :, None] * gradient[:, None, :]).flatten(1)

    def covariance(self, xi: Float[Tensor, " unknowns"]) -> tuple[Tensor, Tensor]:
        """Centred covariance of the combined moments, ``(m, m)``, and the moments ``(n, plain)``."""
        h = self.moments(xi)
        mean = self.mix.T @ h.mean(0)
        return self.mix.T @ (h.T @ h / self.size) @ self.mix - torch.outer(mean, mean), h

    def noise(self, root: Float[Tensor, "m r"]) -> Float[Tensor, "unknowns unknowns"]:
        """``B_kl = cov(theta_k . grad phi, theta_l . grad phi)`` contracted with ``root root^T``."""
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
