"""The moments of the weak form as products of estimates from noisy states.

A moment is the mean of ``x^a d_j psi`` over clean states. Its test function is a wave, scaled,

    ``psi = exp(-s^2 |w|^2 / 2) cos(w . x + b)``, estimated by ``phi = cos(w . y + b)``:

high frequencies do not explode, they only say little. By the rule for products (``polynomial``)

    ``(x^a d_j psi)^ = sum_e (-s^2)^|e| / e!  d^e (x^a)^  d^e d_j phi``,

where ``d^e (x^a)^ / e!`` is a multiple of the estimate of the monomial ``x^(a - e)``.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.stationarity.noise.polynomial import NoisyPolynomial


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
