"""Weak form of a polynomial library whose moments are estimated from noisy states.

The moments of ``v = sum_k xi_k theta_k`` are linear in ``xi``, as those at clean states. Each is a
sum of products (:class:`Products`) of the estimate of a monomial and a derivative of a wave ``phi =
cos(w . y + b)``: ``d^F phi`` is ``+- w^F`` times ``-sin`` if ``|F|`` is odd, times ``-cos`` if it
is even. The means of ``theta_a theta_b`` are corrected too; their estimate may be indefinite.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.discovery.noise.polynomial import NoisyPolynomial, Products
from eqflow.stationarity import FourierFunctions, WeakForm

MIN_SQUARE_RATIO = 1e-6
"""Least mean square, relative to the uncorrected one: its unbiased estimate may be negative."""


CACHED_STATES = 256
"""Number of states whose derivatives stay in the processor's cache."""


MAX_ARRAY_ELEMENTS = 2**24
"""Largest number of elements of a temporary array."""


class NoisyWeakForm(WeakForm):
    """Weak form of a polynomial library, corrected for measurement noise.

    Its moments estimate those of a :class:`WeakForm` at the clean states, for test functions times
    ``exp(-s^2 |w|^2 / 2)``; the statistic does not depend on this factor.

    Args:
        z: Noisy states, standardised.
        library: Estimates of the terms, and the size of the noise.
        functions: Test functions.
        rms: Root mean squares that the terms are divided by; by default those of the clean states,
            estimated. A fit is tested on other snapshots with its own.
    """

    def __init__(
        self,
        z: Float[Tensor, "n dim"],
        library: NoisyPolynomial,
        functions: FourierFunctions,
        rms: Float[Tensor, " terms"] | None = None,
    ) -> None:
        values = library(z)
        super().__init__(z, values, functions)
        plain = values.T @ values / self.count
        gram = library.gram(plain)
        squares = gram.diagonal().maximum(MIN_SQUARE_RATIO * plain.diagonal())
        self.rms = squares.sqrt() if rms is None else rms
        scales = torch.outer(self.rms, self.rms)
        self.theta, self.gram, self.plain_gram = values / self.rms, gram / scales, plain / scales
        self.products = Products.of(library, self.rms)
        # d^F cos is +- w^F times -sin or -cos: the factors, and which derivatives take which wave
        orders = self.products.orders
        size = orders.sum(1)
        sign = 1 - 2 * ((size - 1) // 2 % 2)
        self.heights = sign[:, None] * (self.frequencies ** orders[:, None]).prod(2)
        curvatures = functions.angles(z).cos_().neg_()
        self.waves = [(self.slopes, size % 2 == 1), (curvatures, size % 2 == 0)]
        self.plain_jacobian = self._plain_jacobian(values)

    def _plain_jacobian(
        self, values: Float[Tensor, "n terms"]
    ) -> Float[Tensor, "functions unknowns"]:
        p, (odd, even) = self.products, [waves.T @ values for waves, _ in self.waves]
        tested = torch.stack([odd, even], dim=2) / self.count / self.rms[:, None]
        kind = 1 - p.orders.sum(1)[p.derivative] % 2
        entries = tested[:, p.term, kind].T * p.factor[:, None] * self.heights[p.derivative]
        plain = entries.new_zeros(self.unknowns, len(self.frequencies))
        return plain.index_add(0, p.unknown, entries).T

    @property
    def unknowns(self) -> int:
        """Number of coefficients."""
        return len(self.rms) * self.dim

    def normalised(self, xi: Float[Tensor, " unknowns"]) -> Float[Tensor, " unknowns"]:
        x = xi.view(-1, self.dim)
        corrected, plain = ((x * (gram @ x)).sum() for gram in (self.gram, self.plain_gram))
        return xi * (corrected.maximum(MIN_SQUARE_RATIO * plain) / self.dim).rsqrt()

    def moments(self, xi: Float[Tensor, " unknowns"]) -> Float[Tensor, "n functions"]:
        p = self.products
        operator = xi.new_zeros(len(self.rms), len(self.heights))
        operator.index_put_((p.term, p.derivative), p.factor * xi[p.unknown], accumulate=True)
        h = torch.zeros_like(self.slopes)
        for waves, kind in self.waves:
            h.addcmul_(waves, self.theta @ (operator[:, kind] @ self.heights[kind]))
        return h

    def moments_along(self, u: Float[Tensor, " m"]) -> Float[Tensor, "n unknowns"]:
        p, theta = self.products, self.theta.T.contiguous()
        weights = self.heights * (self.mix @ u)
        derivatives = theta.new_empty(len(weights), self.sample_size)
        for waves, kind in self.waves:
            derivatives[kind] = weights[kind] @ waves.T
        along = theta.new_zeros(self.unknowns, self.sample_size)
        for rows in self._chunks(len(p.term)):
            entries = theta[p.term, rows] * derivatives[p.derivative, rows]
            along[:, rows].index_add_(0, p.unknown, entries.mul_(p.factor[:, None]))
        return along.T

    def weighted_jacobian(
        self, weights: Float[Tensor, " n"]
    ) -> Float[Tensor, "functions unknowns"]:
        return self._plain_jacobian(weights[:, None] * self.theta * self.rms)

    def sampling_covariance(self, root: Float[Tensor, "m r"]) -> Float[Tensor, "unknowns unknowns"]:
        # per state the moments are L D: terms and factors in L, derivatives along the root in D
        p, weights = self.products, self.heights[:, :, None] * (self.mix @ root)
        shape = (self.unknowns, len(weights))
        squares = self.gram.new_zeros(self.unknowns, self.unknowns)
        for rows in self._chunks(shape[0] * shape[1], CACHED_STATES):
            theta = self.theta[rows]
            D = theta.new_empty(len(theta), len(weights), root.shape[1])
            for waves, kind in self.waves:
                D[:, kind] = torch.einsum("nm,fmr->nfr", waves[rows], weights[kind])
            L = theta.new_zeros(len(theta), *shape)
            L[:, p.unknown, p.derivative] = p.factor * theta[:, p.term]
            squares += torch.einsum("nkf,nlf->kl", L @ (D @ D.mT), L)
        mean = root.T @ self.jacobian
        return squares / self.sample_size - mean.T @ mean

    def _chunks(self, width: int, most: int = MAX_ARRAY_ELEMENTS) -> list[slice]:
        step = max(1, min(most, MAX_ARRAY_ELEMENTS // width))
        return [slice(start, start + step) for start in range(0, self.sample_size, step)]
