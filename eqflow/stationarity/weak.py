"""Weak form of a library of vectors, on standardised snapshots (method section 5)."""

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.stationarity.form import Form, Sums, uncorrelated
from eqflow.stationarity.functions import FourierFunctions


def sums(
    z: Float[Tensor, "n dim"], theta: Float[Tensor, "n terms"], functions: FourierFunctions
) -> Sums:
    """Sums over standardised states ``z`` at which the terms have the values ``theta``."""
    return Sums(functions.slopes(z).T @ theta, theta.T @ theta, len(z))


def uncorrelated_functions(
    slopes: Float[Tensor, "n functions"], frequencies: Float[Tensor, "functions dim"]
) -> Float[Tensor, "functions m"]:
    """Combinations of test functions whose moments are uncorrelated, with variance ``dim``.

    They are so for a velocity that is isotropic, of unit variance, and independent of the state.
    ``slopes`` are those of the test functions at ``n`` states, see
    :meth:`~eqflow.stationarity.functions.FourierFunctions.slopes`.
    """
    isotropic = (slopes.T @ slopes / len(slopes)) * (frequencies @ frequencies.T)
    return uncorrelated(isotropic, frequencies.shape[1])


class WeakForm(Form):
    """Moments of a library of vectors, and their covariance on a sample of states.

    The test functions are combined by :func:`uncorrelated_functions`.

    Args:
        z: The sample, standardised.
        theta: Values of the terms at the sample, in any units.
        functions: Test functions.
        total: Sums over all snapshots, from which the mean moments are taken; those over the sample
            by default.
        rms: Root mean squares that the terms are divided by; those of the snapshots by default. A
            fit is tested on other snapshots with its own.
    """

    def __init__(
        self,
        z: Float[Tensor, "n dim"],
        theta: Float[Tensor, "n terms"],
        functions: FourierFunctions,
        total: Sums | None = None,
        rms: Float[Tensor, " terms"] | None = None,
    ) -> None:
        self.sample_size, self.dim = z.shape
        self.frequencies, self.slopes = functions.frequencies, functions.slopes(z)
        tested, gram, self.count = total or Sums(self.slopes.T @ theta, theta.T @ theta, len(z))
        self.effective_size = self.count
        self.rms = (gram.diagonal() / self.count).sqrt() if rms is None else rms
        self.theta = theta / self.rms
        self.gram = gram / self.count / torch.outer(self.rms, self.rms)
        self.plain_jacobian = self._tested(tested / self.count / self.rms)

    def _tested(self, means: Float[Tensor, "functions terms"]) -> Tensor:
        """Moments of all unknowns, from the means of the terms times the slopes."""
        return (means[:, :, None] * self.frequencies[:, None, :]).flatten(1)

    @cached_property
    def mix(self) -> Float[Tensor, "functions m"]:
        return uncorrelated_functions(self.slopes, self.frequencies)

    def moments(self, xi: Float[Tensor, " unknowns"]) -> Float[Tensor, "n functions"]:
        velocity = self.theta @ xi.view(-1, self.dim)
        return (velocity @ self.frequencies.T).mul_(self.slopes)

    def moments_along(self, u: Float[Tensor, " m"]) -> Float[Tensor, "n unknowns"]:
        gradient = self.slopes @ ((self.mix @ u)[:, None] * self.frequencies)
        return (self.theta[:, :, None] * gradient[:, None, :]).flatten(1)

    def weighted_jacobian(
        self, weights: Float[Tensor, " n"]
    ) -> Float[Tensor, "functions unknowns"]:
        return self._tested(self.slopes.T @ (weights[:, None] * self.theta) / self.sample_size)

    def sampling_covariance(self, root: Float[Tensor, "m r"]) -> Float[Tensor, "unknowns unknowns"]:
        mix, dim = self.mix @ root, self.dim
        gradients = [self.slopes @ (w[:, None] * mix) for w in self.frequencies.T]
        blocks = self.gram.new_empty(len(self.gram), dim, len(self.gram), dim)
        for j in range(dim):
            for k in range(j + 1):
                weight = (gradients[j] * gradients[k]).sum(1)
                block = (self.theta * weight[:, None]).T @ self.theta / self.sample_size
                blocks[:, j, :, k], blocks[:, k, :, j] = block, block.T
        mean = root.T @ self.jacobian
        return blocks.flatten(2).flatten(0, 1) - mean.T @ mean
