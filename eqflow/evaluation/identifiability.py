"""Identifiability of dynamics: what fields that differ on purpose have in common.

A single architecture that agrees with itself under many seeds shows its bias, not what snapshots
decide (method section 6). Here fields made with several factors are compared at common states,
beside fields that differ by their seeds alone.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.metrics import (
    FUNCTIONALS,
    Levels,
    Spread,
    aligning_signs,
    analysis_of_variance,
    band,
    bootstrapped,
    cells,
    chance_spread,
    pointwise_spread,
    unit_fields,
    within_cells,
)

Band = tuple[float, float]


@dataclass(frozen=True)
class Bands:
    """Intervals that hold 90 % of a functional over fields and resampled states.

    ``diverse`` is over all fields; ``seeds`` is as wide as seeds alone would make it, about the
    same median; ``truth`` is the value of the true velocity, if it is known.
    """

    diverse: Band
    seeds: Band
    truth: float | None = None

    def cover(self, band: Band) -> bool:
        """Whether the true value lies in ``band``."""
        assert self.truth is not None
        return band[0] <= self.truth <= band[1]


@dataclass(frozen=True, eq=False)
class Identifiability:
    """Aligned unit fields at common states, and their analysis of variance.

    Args:
        states: the common states, standardised.
        fields: unit fields, with signs chosen so that they point along the truth, if it is known,
            or else along their leading principal direction.
        cell: number of the combination of factor levels of each field.
        spread: total spread, spread within cells and shares of the factors.
        chance: spread that as many fields with nothing in common would show.
        truth: the true velocity as a unit field.
    """

    states: Float[Tensor, "states *shape"]
    fields: Float[Tensor, "fields coordinates"]
    cell: Int[Tensor, " fields"]
    spread: Spread
    chance: float
    truth: Float[Tensor, " coordinates"] | None = None

    @property
    def total_at_states(self) -> Float[Tensor, " states"]:
        """Spread of all fields at each state."""
        return pointwise_spread(self.fields, len(self.states), torch.zeros_like(self.cell))

    @property
    def within_at_states(self) -> Float[Tensor, " states"]:
        """Spread within cells at each state."""
        return pointwise_spread(self.fields, len(self.states), self.cell)

    def cosines(self) -> tuple[Float[Tensor, " within"], Float[Tensor, " between"]]:
        """``|cos|`` of all pairs of fields within a cell, and of all pairs between cells."""
        cosines = (self.fields @ self.fields.T).abs()
        equal = self.cell[:, None] == self.cell
        upper = torch.ones_like(equal).triu(1)
        return cosines[equal & upper], cosines[~equal & upper]

    def bands(self) -> dict[str, Bands]:
        """Bands of every functional; none for images, which have no circulation."""
        return {} if self.states.ndim > 2 else {name: self._bands(name) for name in FUNCTIONALS}

    def _bands(self, name: str) -> Bands:
        shape = self.states.shape
        values = bootstrapped(name, self.states, self.fields.view(-1, *shape))
        truth = None
        if self.truth is not None:
            truth = FUNCTIONALS[name](self.states, self.truth.view(1, *shape)).item()
        return Bands(band(values), band(within_cells(values, self.cell)), truth)


def identifiability(
    states: Float[Tensor, "states *shape"],
    velocities: Float[Tensor, "fields states *shape"],
    levels: Levels,
    truth: Float[Tensor, "states *shape"] | None = None,
) -> Identifiability:
    """Compare fields by their velocities at common states, in standardised units.

    Args:
        states: the common states.
        velocities: the velocity of each field at the states.
        levels: factor -> its level for each field, in the order of ``velocities``.
        truth: the true velocity at the states, if it is known.

    Raises:
        InputError: if factors are not crossed evenly, or if no two fields have equal levels.
    """
    fields = unit_fields(velocities)
    true_field = None if truth is None else unit_fields(truth[None])[0]
    fields = fields * aligning_signs(fields, true_field)[:, None]
    spread, chance = analysis_of_variance(fields, levels), chance_spread(fields, levels)
    return Identifiability(states, fields, cells(levels, len(fields)), spread, chance, true_field)
