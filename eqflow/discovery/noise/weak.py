"""The weak form of a polynomial library, its moments estimated from noisy states.

The moments of ``v = sum_k xi_k theta_k`` are linear in ``xi``, as at clean states. Each is a sum of
products (``products``) of the estimate of a monomial and a derivative ``d^F phi`` of a wave
``phi = cos(w . y + b)``: ``+- w^F`` times ``-sin`` if ``|F|`` is odd, times ``-cos`` if it is even.
The means ``S`` of ``theta . theta`` are corrected too; their estimate may be indefinite.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.discovery.noise.polynomial import NoisyPolynomial, Products
from eqflow.stationarity import FourierFunctions, Sums, WeakForm

FAINT = 1e-6
"""Least mean square relative to the uncorrected one: its unbiased estimate may be negative."""


CHUNK = 256  # states at a time: their derivatives stay in the cache


NUMBERS = 2**24  # in one temporary array


class NoisyWeakForm(WeakForm):
    """The weak form of a polynomial library, corrected for measurement noise.

    What the moments estimate is those of a :class:`WeakForm` at clean states, for test functions
    times ``exp(-s^2 |w|^2 / 2)``: a factor that the statistic does not see. ``total`` are
    :func:`noisy_sums` over all snapshots and ``rms`` (terms,) scales the terms, those of the
    sample if left out: to test a fit on other snapshots pass its ``rms``.
    """

    def __init__(
        self,
        z: Float[Tensor, "n dim"],
        library: NoisyPolynomial,
        functions: FourierFunctions,
        total: Sums | None = None,
        rms: Float[Tensor, " terms"] | None = None,
    ) -> None:
        values = library(z)
        super().__init__(z, values, functions)
        self.curved = _curved(z, functions)
        tested, plain, self.count = total or _sums(self.slopes, self.curved, values)
        self.total = self.count
        gram, plain = library.gram(plain / self.total), plain / self.total
        squares = gram.diagonal().maximum(FAINT * plain.diagonal())
        self.rms = squares.sqrt() if rms is None else rms
        scales = torch.outer(self.rms, self.rms)
        self.theta, self.gram, self.plain = values / self.rms, gram / scales, plain / scales
        self.products = Products.of(library, self.rms)
        self.heights, self.parts = self._waves()
        self.plain_jacobian = self._plain_jacobian(tested / self.total / self.rms[:, None])

    def _waves(self) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """``d^F cos`` is ``+- w^F`` times ``-sin`` or ``-cos``: the factors, and which one."""
        orders = self.products.orders
        size = orders.sum(1)
        sign = 1 - 2 * ((size - 1) // 2 % 2)
        heights = sign[:, None] * (self.frequencies ** orders[:, None]).prod(2)
        return heights, [(self.slopes, size % 2 == 1), (self.curved, size % 2 == 0)]

    def _plain_jacobian(
        self, tested: Float[Tensor, "functions terms 2"]
    ) -> Float[Tensor, "functions unknowns"]:
        p = self.products
        even = 1 - p.orders.sum(1)[p.derivative] % 2
        entries = tested[:, p.term, even].T * p.factor[:, None] * self.heights[p.derivative]
        plain = entries.new_zeros(self.unknowns, len(self.frequencies))
        return plain.index_add(0, p.unknown, entries).T

    @property
    def unknowns(self) -> int:
        """Number of coefficients."""
        return len(self.rms) * self.dim

    def normalised(self, xi: Float[Tensor, " unknowns"]) -> Float[Tensor, " unknowns"]:
        """``xi`` at unit speed, ``E |v|^2 / d = 1``."""
        x = xi.view(-1, self.dim)
        corrected, plain = ((x * (gram @ x)).sum() for gram in (self.gram, self.plain))
        return xi * (corrected.maximum(FAINT * plain) / self.dim).rsqrt()

    def moments(self, xi: Float[Tensor, " unknowns"]) -> Float[Tensor, "n functions"]:
        """Estimates of ``v . grad phi_m`` at every clean state."""
        p = self.products
        operator = xi.new_zeros(len(self.rms), len(self.heights))
        operator.index_put_((p.term, p.derivative), p.factor * xi[p.unknown], accumulate=True)
        h = torch.zeros_like(self.slopes)
        for waves, kind in self.parts:
            h.addcmul_(waves, self.theta @ (operator[:, kind] @ self.heights[kind]))
        return h

    def along(self, u: Float[Tensor, " m"]) -> Float[Tensor, "n unknowns"]:
        """Estimates of ``theta_k . grad f`` at every clean state, for ``f = u . phi``."""
        p, theta = self.products, self.theta.T.contiguous()
        weights = self.heights * (self.mix @ u)
        derivatives = theta.new_empty(len(weights), self.size)
        for waves, kind in self.parts:
            derivatives[kind] = weights[kind] @ waves.T
        along = theta.new_zeros(self.unknowns, self.size)
        for rows in self._chunks(len(p.term)):
            entries = theta[p.term, rows] * derivatives[p.derivative, rows]
            along[:, rows].index_add_(0, p.unknown, entries.mul_(p.factor[:, None]))
        return along.T

    def noise(self, root: Float[Tensor, "m r"]) -> Float[Tensor, "unknowns unknowns"]:
        """``B_kl``, the covariance of the unknowns' moments weighted by ``root root^T``."""
        # per state the moments are L D: terms and factors in L, derivatives along the root in D
        p, weights = self.products, self.heights[:, :, None] * (self.mix @ root)
        shape = (self.unknowns, len(weights))
        squares = self.gram.new_zeros(self.unknowns, self.unknowns)
        for rows in self._chunks(shape[0] * shape[1], CHUNK):
            theta = self.theta[rows]
            D = theta.new_empty(len(theta), len(weights), root.shape[1])
            for waves, kind in self.parts:
                D[:, kind] = torch.einsum("nm,fmr->nfr", waves[rows], weights[kind])
            L = theta.new_zeros(len(theta), *shape)
            L[:, p.unknown, p.derivative] = p.factor * theta[:, p.term]
            squares += torch.einsum("nkf,nlf->kl", L @ (D @ D.mT), L)
        mean = root.T @ self.jacobian
        return squares / self.size - mean.T @ mean

    def _chunks(self, width: int, most: int = NUMBERS) -> list[slice]:
        step = max(1, min(most, NUMBERS // width))
        return [slice(start, start + step) for start in range(0, self.size, step)]


def noisy_sums(
    z: Float[Tensor, "n dim"], library: NoisyPolynomial, functions: FourierFunctions
) -> Sums:
    """Sums over noisy standardised states, as :func:`~eqflow.stationarity.weak.sums` of clean ones.

    ``tested`` (functions, terms, 2) holds those of ``-sin`` and those of ``-cos``.
    """
    return _sums(functions.slopes(z), _curved(z, functions), library(z))


def _sums(slopes: Tensor, curved: Tensor, values: Tensor) -> Sums:
    return Sums(
        torch.stack([slopes.T @ values, curved.T @ values], dim=2), values.T @ values, len(values)
    )


def _curved(z: Tensor, functions: FourierFunctions) -> Float[Tensor, "n functions"]:
    return functions.angles(z).cos_().neg_()
