"""Fields that are sums of named terms: the family whose law can be written down."""

from collections.abc import Iterable
from functools import cached_property, partial
from math import comb

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.errors import InputError
from eqflow.fields.base import VelocityField
from eqflow.snapshots import Standardiser
from eqflow.terms import MAX_UNKNOWNS, Terms, library_terms, variable_names

MAX_DEGREE = 4
"""Highest degree that ``degree=auto`` tries."""


class Library(VelocityField):
    """``dx_j/dt = sum_a coefficients[a, j] theta_a(x)`` with terms of raw states.

    Takes and gives standardised states, in float64 inside; ``coefficients`` (terms, dim) are in raw
    units per transit time and zero until fitted. With ``degree="auto"`` the terms are those of the
    highest degree that may be tried. Raises ``InputError`` for states that are not vectors and for
    terms that cannot be built.
    """

    coefficients: Tensor
    centred = False

    def __init__(
        self,
        shape: tuple[int, ...],
        degree: int | str = "auto",
        cross: bool = True,
        harmonics: int = 0,
        expressions: list[str] | tuple[str, ...] = (),
    ) -> None:
        super().__init__(shape)
        if len(shape) != 1:
            raise InputError(
                f"flow=library takes vectors of shape (d,), found snapshots of shape {shape}"
            )
        self.degrees = _degrees(degree, self.dim, cross)
        build = partial(library_terms, self.dim, cross=cross, harmonics=harmonics)
        self.libraries = [build(k, expressions=expressions) for k in self.degrees]
        self._used: tuple[int, int] | None = None
        self.register_buffer("coefficients", torch.zeros(len(self.terms), self.dim).double())
        self.standardiser = Standardiser(torch.zeros(shape), torch.ones(shape))

    @property
    def terms(self) -> Terms:
        """The terms that may have coefficients."""
        return self.libraries[-1]

    @cached_property
    def columns(self) -> list[Int[Tensor, " terms"]]:
        """Where the terms of each degree stand among :attr:`terms`."""
        variables = variable_names(self.dim)
        place = {name: a for a, name in enumerate(self.terms.names(variables))}
        return [
            torch.tensor([place[name] for name in terms.names(variables)])
            for terms in self.libraries
        ]

    def unscaled(self, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        terms, coefficients = self._law()
        velocity = terms(self.standardiser.raw(x.double())) @ coefficients
        return (velocity / self.standardiser.std).to(x.dtype)

    def _law(self) -> tuple[Terms, Tensor]:
        """The smallest library that holds all terms in use, and its coefficients."""
        version = self.coefficients._version
        if self._used is None or self._used[0] != version:
            used = self.coefficients.any(dim=1).nonzero().cpu()
            k = next(k for k, columns in enumerate(self.columns) if torch.isin(used, columns).all())
            self._used = version, k
        _, k = self._used
        return self.libraries[k], self.coefficients[self.columns[k].to(self.coefficients.device)]

    def theta(self, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch terms"]:
        """Values of the terms at standardised states."""
        return self.terms(self.standardiser.raw(x))

    def normalise_(self, batches: Iterable[Tensor]) -> "Library":
        """Leave the field as it is: the fit has fixed its speed, and equations have no mean."""
        return self


def _degrees(degree: int | str, dim: int, cross: bool) -> list[int]:
    """The degree given, or all up to ``MAX_DEGREE`` that are not too many terms."""
    if isinstance(degree, int):
        return [degree]
    if degree != "auto":
        raise InputError(f"flow.field.degree={degree} found; expected auto or an integer >= 1")
    sizes = [comb(dim + k, k) if cross else 1 + dim * k for k in range(1, MAX_DEGREE + 1)]
    return [k for k, size in enumerate(sizes, start=1) if k == 1 or dim * size <= MAX_UNKNOWNS]
