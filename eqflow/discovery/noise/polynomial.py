"""Unbiased estimates of monomials, and of means of their products, from noisy states.

With ``f^ = exp(-s^2/2 Laplacian) f``, an estimate of ``f`` at the clean state from the noisy one:

- ``(x^a)^ = s^|a| He_a(y / s)``, and its derivatives are the estimates of those of ``x^a``;
- ``(f g)^ = sum_e (-s^2)^|e| / e!  d^e f^  d^e g^`` over multi-indices ``e``. The sum ends with the
  derivatives of a monomial, which are lower monomials: it gives the means of ``x^a x^b`` from
  those of the products of the estimates.
"""

from copy import copy
from math import comb, factorial, prod
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.errors import InputError
from eqflow.terms import Polynomial, Terms

LARGEST = 0.5
"""Largest noise, relative to a feature's observed standard deviation, that is corrected for."""


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

    @classmethod
    def of(cls, library: NoisyPolynomial, rms: Float[Tensor, " terms"]) -> "Products":
        """Those of a library whose terms are scaled to unit ``rms``."""
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
