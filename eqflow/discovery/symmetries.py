"""Known symmetries of a distribution, and the fields orthogonal to them (method section 6).

The motion ``g`` along a symmetry keeps the distribution whatever dynamics made it, so that with
``v`` every ``v + a g`` keeps it. Such equations are fitted with one unknown of each symmetry, its
pivot, set to zero, where sparse equations stay sparse.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.stationarity import Form
from eqflow.terms import Polynomial, Terms, variable_names

GRADIENT_PREFIXES = ("dx(", "dy(")
"""First characters of the names of gradients of a channel."""


MAX_CHANCE_COSINE = 0.05
"""Cosine to a symmetry up to which a field counts as orthogonal to it.

A few hundred images make as much by chance, and to take it off would give the symmetry's terms to
every field."""


@dataclass(frozen=True, eq=False)
class Generator:
    """Motion along a symmetry of a distribution.

    ``coefficients`` (terms, dim) give its standardised velocity by raw terms; ``pivot`` are the
    term and the equation of the unknown that is set to zero. ``approximate`` generators are made of
    central differences, which are not exact translations.
    """

    name: str
    coefficients: Float[Tensor, "terms dim"]
    pivot: tuple[int, int]
    approximate: bool = False

    @property
    def columns(self) -> Int[Tensor, " terms"]:
        """Indices of its terms."""
        return self.coefficients.any(dim=1).nonzero()[:, 0].cpu()

    def unknowns(self, columns: Tensor, rms: Float[Tensor, " terms"]) -> Float[Tensor, " unknowns"]:
        """Its unknowns in the library of the terms ``columns``, scaled to unit ``rms``."""
        return (self.coefficients[columns] * rms[:, None]).flatten()

    def pivot_unknown(self, columns: Tensor) -> int:
        """Index of the pivot among the unknowns of that library."""
        term, variable = self.pivot
        return int((columns == term).nonzero()) * self.coefficients.shape[1] + variable


def has_gradients(terms: Terms) -> bool:
    """Whether any term distinguishes a direction of the grid from the opposite one."""
    names = terms.names(variable_names(terms.dim))
    return any(prefix in name for name in names for prefix in GRADIENT_PREFIXES)


def generators(
    terms: Terms,
    variables: Sequence[str],
    mean: Float[Tensor, " dim"],
    std: Float[Tensor, " dim"],
    second: Float[Tensor, "dim dim"],
    origin: Float[Tensor, " dim"] | None = None,
) -> list[Generator]:
    """Generators that the terms can express: translations of images, the rotation of two variables.

    ``mean`` and ``std`` standardise raw states, ``second`` is the covariance of standardised ones,
    ``origin`` that of the monomials. The rotation keeps this covariance; of two channels of an
    image it turns the phase, everywhere alike.
    """
    place = {name: a for a, name in enumerate(terms.names(variables))}
    expressed = []
    for axis in "xy":
        slopes = [f"d{axis}({variable})" for variable in variables]
        if place.keys() >= set(slopes):
            rows = [place[name] for name in slopes]
            values = std.new_zeros(len(terms), terms.dim)
            values[rows, range(terms.dim)] = 1 / std
            name = f"translation along {axis}"
            expressed.append(Generator(name, values, (rows[0], 0), approximate=True))
    origin = torch.zeros_like(mean) if origin is None else origin
    linear = Polynomial(terms.dim, 1).about(origin.tolist()).names(variables)
    if terms.dim == 2 and place.keys() >= set(linear):
        rows = [place[name] for name in linear]
        values = std.new_zeros(len(terms), 2)
        values[rows] = _rotation(mean - origin, std, second)
        expressed.append(Generator(f"rotation of {' and '.join(variables)}", values, (rows[2], 0)))
    return expressed


def _rotation(
    mean: Float[Tensor, " 2"], std: Float[Tensor, " 2"], second: Float[Tensor, "2 2"]
) -> Float[Tensor, "3 2"]:
    """Coefficients of the raw terms 1, x, y in ``J P^-1 (z - E z)``, up to a factor.

    ``P`` is the covariance and ``J`` the quarter turn: this field keeps ``N(E z, P)``.
    """
    (a, c), (_, b) = second
    linear = torch.stack([c, b, -a, -c]).view(2, 2) / std[:, None]
    return torch.cat([-(mean @ linear)[None], linear])


def directions(
    symmetries: Sequence[Generator], columns: Int[Tensor, " terms"], form: Form
) -> Float[Tensor, "unknowns o"] | None:
    """Unknowns of the symmetries in the library of a form, as columns; None without symmetries."""
    fields = [generator.unknowns(columns, form.rms) for generator in symmetries]
    return torch.stack(fields, dim=1) if fields else None


def orthogonal(
    form: Form, fields: Float[Tensor, "*n unknowns"], others: Float[Tensor, "unknowns o"]
) -> Float[Tensor, "*n unknowns"]:
    """Fields less their projections on ``others`` in the inner product ``E[v . w]``."""
    dual = form.metric @ others
    return fields - (fields @ dual) @ torch.linalg.solve(others.T @ dual, others.T)


def not_orthogonal(
    form: Form, xi: Float[Tensor, " unknowns"], others: Float[Tensor, "unknowns o"]
) -> Float[Tensor, "unknowns k"]:
    """The columns of ``others`` whose cosine to ``xi`` is larger than ``MAX_CHANCE_COSINE``."""
    return others[:, form.cosines(others.T, xi).abs() > MAX_CHANCE_COSINE]
