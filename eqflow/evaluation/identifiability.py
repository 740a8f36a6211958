"""How far snapshots decide the dynamics: the spread of fields that differ on purpose.

One architecture that agrees with itself under many seeds shows its bias (method section 6). Here
fields of several factors are compared at the same states, beside fields that differ by seeds alone.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.metrics import (
    FUNCTIONALS,
    Levels,
    Spread,
    band,
    cells,
    pointwise,
    resampled,
    signs,
    spread,
    unit_fields,
    unrelated,
    within,
)

Band = tuple[float, float]


@dataclass(frozen=True)
class Bands:
    """Where 90 % of the fields have a number: all of them, and as seeds alone would spread it.

    Over resampled states: the bands hold the error of a finite sample too.
    """

    diverse: Band
    seeds: Band
    truth: float | None = None

    def cover(self, band: Band) -> bool:
        """Whether the true value, which is known, lies in one of the bands."""
        assert self.truth is not None
        return band[0] <= self.truth <= band[1]


@dataclass(frozen=True, eq=False)
class Identifiability:
    """Aligned unit fields of a law at its ``states``, and what they have in common.

    ``cell`` numbers the combination of factors of each field; ``truth`` is the true velocity as
    such a field, with the sign in which the others are aligned to it; ``unrelated`` the spread that
    as many fields with nothing in common would show.
    """

    states: Float[Tensor, "states *shape"]
    fields: Float[Tensor, "members coordinates"]
    cell: Int[Tensor, " members"]
    spread: Spread
    unrelated: float
    truth: Float[Tensor, " coordinates"] | None = None

    @property
    def diverse_points(self) -> Float[Tensor, " states"]:
        """Spread of all fields at each state."""
        return pointwise(self.fields, len(self.states), torch.zeros_like(self.cell))

    @property
    def seed_points(self) -> Float[Tensor, " states"]:
        """Spread of fields of equal factors at each state."""
        return pointwise(self.fields, len(self.states), self.cell)

    def cosines(self) -> tuple[Float[Tensor, " pairs"], Float[Tensor, " others"]]:
        """``|cos|`` of two fields of equal factors, and of two of unequal ones."""
        cosines = (self.fields @ self.fields.T).abs()
        equal = self.cell[:, None] == self.cell
        upper = torch.ones_like(equal).triu(1)
        return cosines[equal & upper], cosines[~equal & upper]

    def bands(self) -> dict[str, Bands]:
        """Of every functional of vectors; images have no circulation."""
        return {} if self.states.ndim > 2 else {name: self._bands(name) for name in FUNCTIONALS}

    def _bands(self, name: str) -> Bands:
        shape = self.states.shape
        values = resampled(name, self.states, self.fields.view(-1, *shape))
        true = None
        if self.truth is not None:
            true = FUNCTIONALS[name](self.states, self.truth.view(1, *shape)).item()
        return Bands(band(values), band(within(values, self.cell)), true)


def identifiability(
    states: Float[Tensor, "states *shape"],
    velocities: Float[Tensor, "members states *shape"],
    levels: Levels,
    truth: Float[Tensor, "states *shape"] | None = None,
) -> Identifiability:
    """Compare fields by their ``velocities`` at common states, all in standardised units.

    ``levels`` of each factor, one a member, in the order of the members. Raises ``InputError``
    where factors are not crossed evenly or no two members have equal ones.
    """
    fields = unit_fields(velocities)
    true = None if truth is None else unit_fields(truth[None])[0]
    fields = fields * signs(fields, true)[:, None]
    found, nothing = spread(fields, levels), unrelated(fields, levels)
    return Identifiability(states, fields, cells(levels, len(fields)), found, nothing, true)
