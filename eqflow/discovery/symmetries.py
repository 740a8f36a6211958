"""Known symmetries: motions that keep a distribution whatever dynamics made it (method section 6).

If a law is known up to multiples of such generators, it is searched for where one unknown of each,
its pivot, is zero: sparse laws stay sparse there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.stationarity import Form
from eqflow.terms import Terms, variable_names

GRADIENTS = ("dx(", "dy(")
"""How the names of terms with a gradient of a channel begin, monomials before them aside."""


TURNED = 0.05
"""Cosine to a generator below which a law is left as it is: a few hundred images make as much by
chance, and to take it off would give every law the generator's terms."""


@dataclass(frozen=True, eq=False)
class Generator:
    """A symmetry's motion, by its ``name``.

    ``coefficients`` (terms, dim) give its standardised velocity by raw terms; ``pivot`` is the term
    and the equation of the unknown that multiples of it are told by. ``rough`` ones are made of
    central differences, which are not quite translations.
    """

    name: str
    coefficients: Float[Tensor, "terms dim"]
    pivot: tuple[int, int]
    rough: bool = False

    @property
    def columns(self) -> Int[Tensor, " terms"]:
        """The terms that it needs."""
        return self.coefficients.any(dim=1).nonzero()[:, 0].cpu()

    def unknowns(self, columns: Tensor, rms: Float[Tensor, " terms"]) -> Float[Tensor, " unknowns"]:
        """Its unknowns in a library of some of the terms, which are scaled to unit ``rms``."""
        return (self.coefficients[columns] * rms[:, None]).flatten()

    def held(self, columns: Tensor) -> int:
        """The pivot among these unknowns."""
        term, variable = self.pivot
        return int((columns == term).nonzero()) * self.coefficients.shape[1] + variable


def has_gradients(terms: Terms) -> bool:
    """Whether there are terms that tell one direction of the grid from the opposite one."""
    names = terms.names(variable_names(terms.dim))
    return any(gradient in name for name in names for gradient in GRADIENTS)


def generators(
    terms: Terms,
    variables: Sequence[str],
    mean: Float[Tensor, " dim"],
    std: Float[Tensor, " dim"],
    second: Float[Tensor, "dim dim"],
) -> list[Generator]:
    """What these terms can express: translations by gradients, the rotation of two variables.

    ``mean`` and ``std`` take raw states to standardised ones, of which ``second`` are the second
    moments. The rotation is that of the plane in which they are isotropic: in two channels of an
    image it turns the phase, everywhere alike.
    """
    place = {name: a for a, name in enumerate(terms.names(variables))}
    found = []
    for axis in "xy":
        slopes = [f"d{axis}({variable})" for variable in variables]
        if place.keys() >= set(slopes):
            rows = [place[name] for name in slopes]
            values = std.new_zeros(len(terms), terms.dim)
            values[rows, range(terms.dim)] = 1 / std
            found.append(Generator(f"translation along {axis}", values, (rows[0], 0), rough=True))
    if terms.dim == 2 and place.keys() >= {"1", *variables}:
        rows = [place[name] for name in ("1", *variables)]
        values = std.new_zeros(len(terms), 2)
        values[rows] = _rotation(mean, std, second)
        found.append(Generator(f"rotation of {' and '.join(variables)}", values, (rows[2], 0)))
    return found


def _rotation(
    mean: Float[Tensor, " 2"], std: Float[Tensor, " 2"], second: Float[Tensor, "2 2"]
) -> Float[Tensor, "3 2"]:
    """``J P^-1 (z - E z)`` up to a factor, which keeps ``N(E z, P)``, by the raw terms 1, x, y."""
    (a, c), (_, b) = second
    linear = torch.stack([c, b, -a, -c]).view(2, 2) / std[:, None]
    return torch.cat([-(mean @ linear)[None], linear])


def directions(
    known: Sequence[Generator], columns: Tensor, form: Form
) -> Float[Tensor, "unknowns o"] | None:
    """Generators in the unknowns of a form; None if there are none."""
    fields = [one.unknowns(columns, form.rms) for one in known]
    return torch.stack(fields, dim=1) if fields else None


def orthogonal(
    form: Form, fields: Float[Tensor, "*n unknowns"], apart: Float[Tensor, "unknowns o"]
) -> Float[Tensor, "*n unknowns"]:
    """Fields less their parts along ``apart`` in the inner product ``E[v . w]``."""
    dual = form.metric @ apart
    return fields - (fields @ dual) @ torch.linalg.solve(apart.T @ dual, apart.T)


def turned(form: Form, xi: Float[Tensor, " unknowns"], apart: Tensor) -> Tensor:
    """Those of ``apart`` that a field is not orthogonal to beyond chance."""
    norms = ((apart.T @ form.metric) * apart.T).sum(1).sqrt() * (xi @ form.metric @ xi).sqrt()
    return apart[:, (xi @ form.metric @ apart).abs() > TURNED * norms]
