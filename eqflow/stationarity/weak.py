"""The weak form of a library field of vectors, on standardised snapshots (method section 5)."""

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.stationarity.form import Form, Sums, uncorrelated
from eqflow.stationarity.functions import FourierFunctions


def sums(
    z: Float[Tensor, "n dim"], theta: Float[Tensor, "n terms"], functions: FourierFunctions
) -> Sums:
    """Sums over standardised states ``z`` where the terms have the values ``theta``.

    What moments are made of is ``slope_m theta_a`` here.
    """
    return Sums(functions.slopes(z).T @ theta, theta.T @ theta, len(z))


class WeakForm(Form):
    """Moments of a library on standardised snapshots, and their covariance on a sample of them.

    ``z`` is the sample and ``theta`` (n, terms) the values of the terms there; ``total`` the sums
    over all snapshots, those of the sample if left out. To test a fit on other snapshots pass its
    ``rms``. The combined functions have moments that are uncorrelated, with variance ``dim``, for a
    velocity that is isotropic and independent of the state.
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
        tested, gram, self.count = total or Sums(self.slopes.T @ theta, theta.T @ theta, len(z))
        self.total = self.count
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

    def moments(self, xi: Float[Tensor, " unknowns"]) -> Float[Tensor, "n functions"]:
        """``v . grad phi_m`` at every state, for the plain test functions."""
        velocity = self.theta @ xi.view(-1, self.dim)
        return (velocity @ self.frequencies.T).mul_(self.slopes)

    def along(self, u: Float[Tensor, " m"]) -> Float[Tensor, "n unknowns"]:
        """``theta_k . grad f`` at every state, for the combination ``f = u . phi``."""
        gradient = self.slopes @ ((self.mix @ u)[:, None] * self.frequencies)
        return (self.theta[:, :, None] * gradient[:, None, :]).flatten(1)

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
    return uncorrelated(isotropic, frequencies.shape[1])
