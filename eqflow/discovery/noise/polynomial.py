"""Unbiased estimates of monomials, and of means of their products, from noisy states.

With ``f^ = exp(-s^2/2 Laplacian) f``, the estimate of ``f(x)`` from the noisy state ``y``,

- ``(x^a)^ = s^|a| He_a(y / s)`` with the Hermite polynomials ``He_a``, and the derivatives of this
  estimate are the estimates of the derivatives of ``x^a``;
- ``(f g)^ = sum_e (-s^2)^|e| / e!  d^e f^  d^e g^`` over multi-indices ``e``. If ``f`` is a
  monomial the sum is finite. It gives the means of ``x^a x^b`` from those of the products of the
  estimates.
"""

from copy import copy
from math import comb, factorial, prod
from typing import NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.errors import InputError
from eqflow.terms import Polynomial, Terms

MAX_NOISE_STD = 0.5
"""Largest noise that is corrected for, in observed standard deviations of a feature."""


class Shift(NamedTuple):
    """Derivatives ``d^e x^a / e! = factor x^(a - e)`` of one order ``e``, in standardised units.

    ``terms`` are the indices of the monomials ``a >= e``, ``lower`` those of ``a - e``.
    """

    order: tuple[int, ...]
    terms: Int[Tensor, " k"]
    lower: Int[Tensor, " k"]
    factor: Float[Tensor, " k"]


class NoisyPolynomial:
    """Unbiased estimates of the monomials of ``x - origin``, from noisy standardised states.

    Raises ``InputError`` for terms that are no polynomial, and for noise outside
    ``[0, MAX_NOISE_STD]``.

    Args:
        terms: The monomials.
        mean: Mean of the raw noisy states, less the origin of the monomials.
        std: Standard deviation of the raw noisy states.
        noise_std: Size ``s`` of the noise, in units of ``std``.
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
        self.powers = cast(Polynomial, terms).powers.to(std.device)
        self.shifts = _shifts(self.powers, self.std)

    def at(self, noise_std: float) -> "NoisyPolynomial":
        """The same monomials for noise of another size."""
        other = copy(self)
        other.noise_std = float(noise_std)
        return other

    def __getitem__(self, columns: Int[Tensor, " k"]) -> "NoisyPolynomial":
        """Some of the monomials, which must include all divisors of each."""
        part = copy(self)
        part.powers = self.powers[columns]
        part.shifts = _shifts(part.powers, self.std)
        return part

    def __call__(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n terms"]:
        """Estimates ``prod_j He_{a_j}``, by ``He_{k+1} = y He_k - k s^2 He_{k-1}``."""
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
        """Estimated means of ``x^a x^b``, from the means of the products of the estimates."""
        gram = torch.zeros_like(plain)
        for shift in self.shifts:
            weight = self.weight(shift) * prod(map(factorial, shift.order))
            lower = plain[shift.lower][:, shift.lower]
            rows, columns = shift.terms[:, None], shift.terms
            gram[rows, columns] += weight * torch.outer(shift.factor, shift.factor) * lower
        return gram

    def weight(self, shift: Shift) -> float:
        """Factor ``(-s^2)^|e|`` of the derivatives of order ``e``."""
        return (-(self.noise_std**2)) ** sum(shift.order)


def check_noise(terms: Terms, noise_std: float) -> None:
    """Raise ``InputError`` for noise that cannot be corrected for."""
    if not 0 <= noise_std <= MAX_NOISE_STD:
        raise InputError(
            f"flow.training.noise_std={noise_std} found; expected a fraction of each feature's "
            f"standard deviation from 0 to {MAX_NOISE_STD}"
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
    """The moments of all unknowns as sums of products of a monomial and a wave's derivative.

    The moment of unknown ``(a, j)``, of the term ``x^a`` in equation ``j``, is the sum of ``factor
    x_l^ d^F phi`` over the entries with its index in ``unknown``. Each entry has a monomial ``l``,
    its ``term``, and a ``derivative``, the row of ``F`` in ``orders`` (derivatives, dim).
    """

    orders: Int[Tensor, "derivatives dim"]
    unknown: Int[Tensor, " entries"]
    term: Int[Tensor, " entries"]
    derivative: Int[Tensor, " entries"]
    factor: Float[Tensor, " entries"]

    @classmethod
    def of(cls, library: NoisyPolynomial, rms: Float[Tensor, " terms"]) -> "Products":
        """Products of a library whose terms are scaled to unit ``rms``."""
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
        return cls(torch.tensor(list(place)).to(rms.device), *columns)
