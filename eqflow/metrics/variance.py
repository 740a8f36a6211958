"""Analysis of variance of velocity fields over the factors that they were made with.

A *cell* is a combination of factor levels; its fields differ by their seeds alone. The spread of
fields is split into the spread within cells and what each factor adds between them (method
section 6).
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.errors import InputError

Levels = Mapping[str, Sequence[Hashable]]
"""Name of a factor -> its level for each field."""


@dataclass(frozen=True)
class Spread:
    """Mean squared distance of unit fields to their mean, and its shares by factor.

    ``total`` is 0 for equal fields and near 1 for fields with nothing in common, and ``seeds`` is
    the spread within cells; both are unbiased for few fields. ``shares`` of the total are those of
    each factor, of ``interactions`` and of ``seeds``, and add up to one.
    """

    total: float
    seeds: float
    shares: dict[str, float]


def cells(levels: Levels, fields: int) -> Int[Tensor, " fields"]:
    """The number of the cell of each field; one cell without factors."""
    columns = [torch.zeros(fields, dtype=torch.long)]
    for values in levels.values():
        number = {value: k for k, value in enumerate(dict.fromkeys(values))}
        columns.append(torch.tensor([number[value] for value in values]))
    return torch.stack(columns, 1).unique(dim=0, return_inverse=True)[1]


def analysis_of_variance(fields: Float[Tensor, "fields coordinates"], levels: Levels) -> Spread:
    """Main effects of the factors on aligned unit fields, interactions, and spread within cells.

    The part of an effect is ``(SS - SS_0) / n``: its sum of squares less the sum that the spread
    within cells alone would give, over the number of fields. It is unbiased for the mean square of
    the effect, also for cells of unequal variance; for equal ones its share is omega squared (Hays
    1963). A factor whose levels determine those of another is nested in it and has the part that
    it adds.

    Raises:
        InputError: if factors are not crossed in proportion, so that their effects cannot be told
            apart, or if a cell has a single field.
    """
    parents = {name: _parents(name, levels) for name in levels}
    _check_crossed(levels, parents)
    fields, cell = fields.double(), cells(levels, len(fields))
    if cell.bincount().min() < 2:
        raise InputError(
            f"found {len(fields)} fields, some without another of equal factors; expected at least "
            "two that differ by their seeds (flow.ensemble=2)"
        )
    variances = deviations(fields, cell).square().sum(1)

    def explained(*names: str) -> Float[Tensor, ""]:
        group = cells({name: levels[name] for name in names}, len(fields))
        squares = group.bincount() * _means(fields, group).square().sum(1)
        return (squares - _means(variances[:, None], group)[:, 0]).sum() / len(fields)

    parts = {name: explained(*above, name) - explained(*above) for name, above in parents.items()}
    effects = explained(*levels) - explained()
    parts["interactions"] = effects - sum(parts.values())
    parts["seeds"] = variances.mean()
    total = effects + parts["seeds"]
    shares = {name: (part / total).item() if total else 0.0 for name, part in parts.items()}
    return Spread(total.item(), parts["seeds"].item(), shares)


def pointwise_spread(
    fields: Float[Tensor, "fields coordinates"], states: int, cell: Int[Tensor, " fields"]
) -> Float[Tensor, " states"]:
    """Spread within cells at each of the states, with mean ``Spread.seeds``.

    With all fields in one cell it is the spread of all fields.
    """
    square = deviations(fields, cell).square().mean(0)
    return states * square.view(states, -1).sum(1)


def deviations(
    values: Float[Tensor, "fields coordinates"], cell: Int[Tensor, " fields"]
) -> Float[Tensor, "fields coordinates"]:
    """Deviations from the mean of the cell, scaled to the unbiased variance in mean square."""
    count = cell.bincount()
    scale = (count / (count - 1).clamp_min(1)).sqrt()
    return (values - _means(values, cell)[cell]) * scale[cell, None]


def _means(values: Tensor, group: Tensor) -> Float[Tensor, "groups coordinates"]:
    count = group.bincount()
    sums = values.new_zeros(len(count), values.shape[1]).index_add(0, group, values)
    return sums / count[:, None]


def _determines(a: Sequence[Hashable], b: Sequence[Hashable]) -> bool:
    """Whether fields of equal level ``a`` have equal level ``b``."""
    return len(set(zip(a, b, strict=True))) == len(set(a))


def _parents(name: str, levels: Levels) -> list[str]:
    """The factors in which a factor is nested."""
    own = levels[name]
    return [
        other
        for other, theirs in levels.items()
        if other != name and _determines(own, theirs) and not _determines(theirs, own)
    ]


def _check_crossed(levels: Levels, parents: Mapping[str, Sequence[str]]) -> None:
    """Refuse two factors, neither nested in the other, whose counts are not proportional."""
    for a, b in combinations(levels, 2):
        if a in parents[b] or b in parents[a]:
            continue
        first, second = Counter(levels[a]), Counter(levels[b])
        both = Counter(zip(levels[a], levels[b], strict=True))
        for x, y in product(first, second):
            expected = first[x] * second[y] / first.total()
            if both[x, y] != expected:
                raise InputError(
                    f"{a}={x} with {b}={y}: found {both[x, y]} of {first.total()} fields, expected "
                    f"{expected:g}: factors that are crossed evenly, and no job that failed"
                )
