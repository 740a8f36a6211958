"""Weak form of a polynomial library on snapshots with measurement noise (METHOD section 5).

Snapshots are ``y = x + s eps``, ``eps ~ N(0, I)``, in units of each feature's standard deviation.
Noise blurs: ``E f(y) = E exp(s^2/2 Laplacian) f(x)``. So ``exp(-s^2/2 Laplacian) f`` at ``y``, for
which we write ``f^``, is an unbiased estimate of ``f(x)``. It has a closed form for

- monomials, ``x^a -> s^|a| He_a(y / s)``, whose derivatives are again such estimates;
- waves, ``exp(-s^2 |w|^2 / 2) cos(w . x + b) -> cos(w . y + b)``. The left side is the test
  function here, so high frequencies do not explode, they only say little;
- products, ``f g -> sum_e (-s^2)^|e| / e!  d^e f^  d^e g^`` over multi-indices ``e``. The sum ends
  with the derivatives of a monomial. It gives the moments ``x^a d_j phi`` and the means of
  ``x^a x^b`` from those of ``f^`` and ``g^``.
"""

from copy import copy
from dataclasses import dataclass
from math import comb, factorial, inf, prod
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.errors import InputError
from eqflow.stationarity.functions import FourierFunctions
from eqflow.stationarity.solve import Minimum, minimise, starts
from eqflow.stationarity.weak import Sums, WeakForm
from eqflow.terms import Polynomial, Terms

LARGEST = 0.5
"""Largest noise, relative to a feature's observed standard deviation, that is corrected for."""

FAINT = 1e-6
"""Least mean square relative to the uncorrected one: its unbiased estimate may be negative."""

COARSE = 2000
"""States on which the levels of the noise are first compared."""

LIKELY = 3.84
"""Rise of the statistic that bounds a 95 % interval: chi-square with one degree of freedom."""

PRECISION = 5e-4
"""Of the size of the noise, when it is searched for."""

CHUNK = 256  # states at a time: their derivatives stay in the cache
NUMBERS = 2**24  # in one temporary array


class Shift(NamedTuple):
    """``d^e x^a / e! = factor x^(a - e)``, in standardised units, for all ``terms`` ``a >= e``."""

    order: tuple[int, ...]
    terms: Tensor
    lower: Tensor
    factor: Tensor


class NoisyPolynomial:
    """Unbiased estimates of the monomials of raw states from noisy standardised states.

    ``mean`` and ``std`` (dim,) take raw states to standardised ones; ``noise_std`` is the size of
    the noise there, a fraction of each feature's observed standard deviation. Raises
    ``InputError`` for terms that are no polynomial and for noise outside ``[0, LARGEST]``.
    """

    def __init__(
        self,
        terms: Terms,
        mean: Float[Tensor, " dim"],
        std: Float[Tensor, " dim"],
        noise_std: float,
    ) -> None:
        check_noise(terms, noise_std)
        self.mean, self.std, self.noise_std = mean.double(), std.double(), float(noise_std)
        # where one variable is 2 and the others 1, a monomial is 2 to the power of that variable
        probe = 1 + torch.eye(terms.dim, dtype=torch.double, device=std.device)
        self.powers = terms(probe).log2().round().long().T
        self.shifts = _shifts(self.powers, self.std)

    def at(self, noise_std: float) -> "NoisyPolynomial":
        """The same library for noise of another size."""
        other = copy(self)
        other.noise_std = float(noise_std)
        return other

    def __getitem__(self, columns: Int[Tensor, " k"]) -> "NoisyPolynomial":
        """Some of the terms; with a monomial all its divisors must be among them."""
        part = copy(self)
        part.powers = self.powers[columns]
        part.shifts = _shifts(part.powers, self.std)
        return part

    def __call__(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n terms"]:
        """``prod_j He_{a_j}`` of every monomial, by ``He_{k+1} = y He_k - k s^2 He_{k-1}``."""
        y, variance = (self.mean + self.std * z).T, (self.noise_std * self.std[:, None]) ** 2
        powers = [torch.ones_like(y), y]
        for k in range(1, int(self.powers.max())):
            powers.append(y * powers[k] - k * variance * powers[k - 1])
        table = torch.stack(powers, dim=1)
        values = table[0, self.powers[:, 0]]
        for j in range(1, len(y)):
            values = values * table[j, self.powers[:, j]]
        return values.T

    def gram(self, plain: Float[Tensor, "terms terms"]) -> Float[Tensor, "terms terms"]:
        """Means of ``x^a x^b`` from the ``plain`` means of the products of the estimates."""
        gram = torch.zeros_like(plain)
        for shift in self.shifts:
            weight = self.weight(shift) * prod(map(factorial, shift.order))
            lower = plain[shift.lower][:, shift.lower]
            rows, columns = shift.terms[:, None], shift.terms
            gram[rows, columns] += weight * torch.outer(shift.factor, shift.factor) * lower
        return gram

    def weight(self, shift: Shift) -> float:
        """``(-s^2)^|e|``."""
        return (-(self.noise_std**2)) ** sum(shift.order)


def check_noise(terms: Terms, noise_std: float) -> None:
    """Refuse noise that cannot be corrected for."""
    if not 0 <= noise_std <= LARGEST:
        raise InputError(
            f"flow.training.noise_std={noise_std} found; expected a fraction of each feature's "
            f"standard deviation from 0 to {LARGEST}"
        )
    if not isinstance(terms, Polynomial):
        raise InputError(
            f"flow.training.noise_std={noise_std} with terms that are no polynomial found; "
            "expected flow.field.harmonics=0 and no flow.field.expressions, or no correction"
        )


def _shifts(powers: Int[Tensor, "terms dim"], std: Float[Tensor, " dim"]) -> list[Shift]:
    place = {tuple(a): k for k, a in enumerate(powers.tolist())}
    return [_shift(place, e, std) for e in place]


def _shift(place: dict[tuple[int, ...], int], e: tuple[int, ...], std: Tensor) -> Shift:
    ways = {a: prod(map(comb, a, e)) for a in place}
    above = [a for a in place if ways[a]]
    lower = [tuple(k - i for k, i in zip(a, e, strict=True)) for a in above]
    terms, rest = (torch.tensor([place[a] for a in some]).to(std.device) for some in (above, lower))
    unit = (std ** torch.tensor(e).to(std)).prod()
    return Shift(e, terms, rest, unit * torch.tensor([ways[a] for a in above]).to(std))


class Products(NamedTuple):
    """The moments of ``x^a d_j`` as a list: ``factor``, a term ``l`` and a derivative ``d^F phi``.

    The moments of unknown ``(a, j)`` are the sum of ``factor x_l^ d^F phi`` over its entries.
    ``orders`` (derivatives, dim) are the multi-indices ``F``.
    """

    orders: Tensor
    unknown: Tensor
    term: Tensor
    derivative: Tensor
    factor: Tensor


def _products(library: NoisyPolynomial, rms: Float[Tensor, " terms"]) -> Products:
    dim = len(library.std)
    place: dict[tuple[int, ...], int] = {}
    entries = []
    for shift in library.shifts:
        factor = library.weight(shift) * shift.factor * rms[shift.lower] / rms[shift.terms]
        for j in range(dim):
            order = tuple(k + (i == j) for i, k in enumerate(shift.order))
            derivative = torch.full_like(shift.terms, place.setdefault(order, len(place)))
            entries.append((shift.terms * dim + j, shift.lower, derivative, factor))
    columns = [torch.cat(column) for column in zip(*entries, strict=True)]
    return Products(torch.tensor(list(place)).to(rms.device), *columns)


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
        tested, plain, self.total = total or _sums(self.slopes, self.curved, values)
        gram, plain = library.gram(plain / self.total), plain / self.total
        squares = gram.diagonal().maximum(FAINT * plain.diagonal())
        self.rms = squares.sqrt() if rms is None else rms
        scales = torch.outer(self.rms, self.rms)
        self.theta, self.gram, self.plain = values / self.rms, gram / scales, plain / scales
        self.products = _products(library, self.rms)
        self.heights, self.parts = self._waves()
        self.jacobian = self._jacobian(tested / self.total / self.rms[:, None])

    def _waves(self) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """``d^F cos`` is ``+- w^F`` times ``-sin`` or ``-cos``: the factors, and which one."""
        orders = self.products.orders
        size = orders.sum(1)
        sign = 1 - 2 * ((size - 1) // 2 % 2)
        heights = sign[:, None] * (self.frequencies ** orders[:, None]).prod(2)
        return heights, [(self.slopes, size % 2 == 1), (self.curved, size % 2 == 0)]

    def _jacobian(self, tested: Float[Tensor, "functions terms 2"]) -> Float[Tensor, "m unknowns"]:
        p = self.products
        even = 1 - p.orders.sum(1)[p.derivative] % 2
        entries = tested[:, p.term, even].T * p.factor[:, None] * self.heights[p.derivative]
        plain = entries.new_zeros(self.unknowns, len(self.frequencies))
        return self.mix.T @ plain.index_add(0, p.unknown, entries).T

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


@dataclass(frozen=True, eq=False)
class NoiseProfile:
    """The size of the noise that the snapshots speak for, and the field found with it.

    ``low`` and ``high`` bound a 95 % interval, the sizes whose statistic is within ``LIKELY`` of
    the least; ``rms`` (terms,) scales the terms of ``found``.
    """

    noise_std: float
    low: float
    high: float
    found: Minimum
    rms: Float[Tensor, " terms"]


def profile_noise(
    z: Float[Tensor, "n dim"],
    library: NoisyPolynomial,
    functions: FourierFunctions,
    largest: float = 0.4,
    step: float = 0.025,
) -> NoiseProfile:
    """The size of the noise whose best field has the least statistic.

    Sizes up to ``largest`` are compared on the first ``COARSE`` of the states ``z``, the best is
    refined on all of them; the size in ``library`` is not used. One size for all features,
    relative to their standard deviations. Few functions and many states are best: with a few
    thousand states for 150 moments the size comes out too small by more than its error.
    """
    coarse = _Profile(z[:COARSE], library, functions)
    for level in range(round(largest / step) + 1):
        coarse.start(level * step)
    profile = _Profile(z, library, functions)
    profile.start(coarse.noise_std, count=3)
    profile.refine(coarse.noise_std - 2 * step, coarse.noise_std + 2 * step)
    low, high = profile.edge(-1), profile.edge(1)
    return NoiseProfile(profile.noise_std, low, high, profile.found, profile.rms)


class _Profile:
    """The least statistic as a function of the size of the noise; remembers where it was least."""

    def __init__(self, z: Tensor, library: NoisyPolynomial, functions: FourierFunctions) -> None:
        self.z, self.library, self.functions = z, library, functions
        self.rms = library.at(0.0)(z).square().mean(0).sqrt()
        self.noise_std, self.statistic = 0.0, inf
        self.seen: dict[float, float] = {}
        self.found: Minimum

    def start(self, noise_std: float, count: int = 1) -> None:
        """Fit from the starts at this size."""
        form = self._form(noise_std)
        for xi in starts(form, count):
            near = minimise(form, xi, ridge=1e-2, steps=4, tolerance=1)
            self._keep(noise_std, minimise(form, near.xi, steps=4, tolerance=1))

    def __call__(self, noise_std: float) -> float:
        """The statistic of the fit that is reached from the best one so far."""
        if noise_std not in self.seen:
            found = minimise(self._form(noise_std), self.found.xi)
            self._keep(noise_std, found)
            self.seen[noise_std] = found.statistic
        return self.seen[noise_std]

    def refine(self, low: float, high: float) -> None:
        """Search between two sizes for the one with the least statistic."""
        from scipy.optimize import minimize_scalar

        bounds = _bounded(low), _bounded(high)
        minimize_scalar(self, bounds=bounds, method="bounded", options={"xatol": PRECISION})

    def edge(self, side: int) -> float:
        """Where the statistic has risen by ``LIKELY`` on one side of the best size."""
        from scipy.optimize import brentq

        best, level, step = self.noise_std, self.statistic + LIKELY, 4 * PRECISION
        inner, outer = best, _bounded(best + side * step)
        while self(outer) < level:
            if outer in (0.0, LARGEST):
                return outer
            inner, step = outer, 2 * step
            outer = _bounded(best + side * step)
        return float(brentq(lambda s: self(s) - level, inner, outer, xtol=PRECISION))

    def _form(self, noise_std: float) -> NoisyWeakForm:
        return NoisyWeakForm(self.z, self.library.at(noise_std), self.functions, rms=self.rms)

    def _keep(self, noise_std: float, found: Minimum) -> None:
        if found.statistic < self.statistic:
            self.noise_std, self.statistic, self.found = float(noise_std), found.statistic, found


def _bounded(noise_std: float) -> float:
    return min(max(noise_std, 0.0), LARGEST)
