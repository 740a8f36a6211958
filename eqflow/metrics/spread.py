"""How far fields of one law differ, and which of their factors explain it (method section 6).

A *unit field* is the velocity at common states, centred over them and of length one as one vector;
the law knows neither speed nor sign. Members of equal factors are a *cell*: they differ by their
seeds alone.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from eqflow.errors import InputError

QUANTILES = (0.05, 0.95)
"""Ends of a band."""


Levels = Mapping[str, Sequence[Hashable]]
"""Name of a factor -> the level of it that each member has."""


@dataclass(frozen=True)
class Spread:
    """Mean squared distance of unit fields to their mean: 0 if all are one.

    Near 1 if nothing is common; how near, with signs that were chosen, :func:`unrelated` says.

    ``total`` of all members, ``seeds`` within their cells, without the bias of small numbers;
    ``shares`` of the total by factor, then ``interactions`` and ``seeds``, which add up to one.
    """

    total: float
    seeds: float
    shares: dict[str, float]


def unit_fields(
    velocities: Float[Tensor, "members states *shape"],
) -> Float[Tensor, "members coordinates"]:
    """Centred over the states, as fields that keep a law are, and of length one."""
    centred = velocities - velocities.mean(1, keepdim=True)
    return normalize(centred.flatten(1), dim=1)


def signs(
    fields: Float[Tensor, "members coordinates"], like: Float[Tensor, " coordinates"] | None = None
) -> Float[Tensor, " members"]:
    """1 or -1 for each field, so that all point along the leading principal direction.

    It points as ``like`` does, or as most of the fields do.
    """
    weights = torch.linalg.eigh((fields @ fields.T).double()).eigenvectors[:, -1]
    found = torch.where(weights < 0, -1.0, 1.0).to(fields)
    direction = weights.to(fields) @ fields
    forward = found.sum() >= 0 if like is None else direction @ like >= 0
    return found if forward else -found


def cells(levels: Levels, members: int) -> Int[Tensor, " members"]:
    """The number of the combination of levels that each member has; one cell without factors."""
    columns = [torch.zeros(members, dtype=torch.long)]
    for values in levels.values():
        known = {value: k for k, value in enumerate(dict.fromkeys(values))}
        columns.append(torch.tensor([known[value] for value in values]))
    return torch.stack(columns, 1).unique(dim=0, return_inverse=True)[1]


def spread(fields: Float[Tensor, "members coordinates"], levels: Levels) -> Spread:
    """Analysis of variance of aligned unit fields, main effects and what is left.

    Of each effect ``(SS - what seeds alone give) / members``, which is unbiased for the mean square
    of the levels' own deviations, also where cells have unequal seed variances; with equal ones it
    is, over the sum of all, Hays' omega squared (1963). A factor whose levels decide those of
    another is nested in it, and explains what it adds. Raises ``InputError`` for factors that are
    not crossed evenly and for cells of one member.
    """
    nested = {name: _parents(name, levels) for name in levels}
    _check_crossed(levels, nested)
    fields, cell = fields.double(), cells(levels, len(fields))
    if cell.bincount().min() < 2:
        raise InputError(
            f"found {len(fields)} fields, some without another of equal factors; expected at least "
            "two that differ by their seeds (flow.ensemble=2)"
        )
    variances = _deviations(fields, cell).square().sum(1)

    def explained(*names: str) -> Float[Tensor, ""]:
        """Squares of the means of equal levels, less those that seeds alone would give."""
        group = cells({name: levels[name] for name in names}, len(fields))
        squares = group.bincount() * _means(fields, group).square().sum(1)
        return (squares - _means(variances[:, None], group)[:, 0]).sum() / len(fields)

    found = {name: explained(*above, name) - explained(*above) for name, above in nested.items()}
    effects = explained(*levels) - explained()
    found["interactions"] = effects - sum(found.values())
    found["seeds"] = variances.mean()
    total = effects + found["seeds"]
    shares = {name: (part / total).item() if total else 0.0 for name, part in found.items()}
    return Spread(total.item(), found["seeds"].item(), shares)


def unrelated(
    fields: Float[Tensor, "members coordinates"], levels: Levels, draws: int = 50, seed: int = 0
) -> float:
    """Mean spread of as many random directions of the fields' span, aligned as they are.

    Less than 1: with signs chosen, directions that have nothing to do with each other agree a
    little, the more the fewer dimensions there are. A span has no more than there are fields.
    """
    gram = fields.double() @ fields.double().T
    rank = int(torch.linalg.matrix_rank(gram, hermitian=True, rtol=1e-10))  # float32 fields
    draw, found = torch.Generator().manual_seed(seed), []
    for _ in range(draws):
        random = torch.randn(len(fields), rank, generator=draw, dtype=torch.double)
        random = normalize(random, dim=1)
        found.append(spread(random * signs(random)[:, None], levels).total)
    return sum(found) / draws


def pointwise(
    fields: Float[Tensor, "members coordinates"], states: int, cell: Int[Tensor, " members"]
) -> Float[Tensor, " states"]:
    """Spread within cells at each state, its mean over the states ``Spread.seeds``.

    With all members in one cell it is the spread of them all.
    """
    apart = _deviations(fields, cell).square().mean(0)
    return states * apart.view(states, -1).sum(1)


def circulation(
    x: Float[Tensor, "states dim"], v: Float[Tensor, "members states dim"]
) -> Float[Tensor, " members"]:
    """``E[x_1 v_2 - x_2 v_1]`` about the mean, at unit speed ``E|v|^2 / d = 1``."""
    return _moment(x, v).mean(1)


def angular_speed(
    x: Float[Tensor, "states dim"], v: Float[Tensor, "members states dim"]
) -> Float[Tensor, " members"]:
    """``E[(x_1 v_2 - x_2 v_1) / (x_1^2 + x_2^2)]``, the same otherwise."""
    r2 = (x - x.mean(0))[:, :2].square().sum(1)
    return (_moment(x, v) / r2).mean(1)


FUNCTIONALS = {"circulation": circulation, "mean angular speed": angular_speed}
"""Name -> a number of a field that a reader knows the meaning of."""


def resampled(
    name: str,
    x: Float[Tensor, "states dim"],
    v: Float[Tensor, "members states dim"],
    draws: int = 200,
    seed: int = 0,
) -> Float[Tensor, "members draws"]:
    """A functional of each field over states drawn again: a number of the law, not of these ones.

    A draw is the same for all members. Among fields that turn alike, those of the truth can be at
    the end of what is possible: no member is beyond it then, but another sample is (bootstrap).
    """
    generator = torch.Generator().manual_seed(seed)
    picks = torch.randint(len(x), (draws, len(x)), generator=generator).to(x.device)
    return torch.stack([FUNCTIONALS[name](x[pick], v[:, pick]) for pick in picks], 1)


def band(values: Float[Tensor, "members draws"]) -> tuple[float, float]:
    """Where 90 % of the members and draws are."""
    low, high = values.quantile(values.new_tensor(QUANTILES)).tolist()
    return low, high


def within(
    values: Float[Tensor, "members draws"], cell: Int[Tensor, " members"]
) -> Float[Tensor, "members draws"]:
    """What seeds alone would give: deviations from the cell, about the median of all."""
    return values.quantile(0.5, 0) + _deviations(values, cell)


def _moment(x: Tensor, v: Tensor) -> Float[Tensor, "members states"]:
    x = x - x.mean(0)
    speed = v.square().mean((1, 2), keepdim=True).sqrt()
    v = v / speed
    return x[:, 0] * v[..., 1] - x[:, 1] * v[..., 0]


def _means(fields: Tensor, group: Tensor) -> Float[Tensor, "groups coordinates"]:
    count = group.bincount()
    sums = fields.new_zeros(len(count), fields.shape[1]).index_add(0, group, fields)
    return sums / count[:, None]


def _deviations(
    fields: Float[Tensor, "members coordinates"], cell: Int[Tensor, " members"]
) -> Float[Tensor, "members coordinates"]:
    """From the mean of the cell, scaled so that their mean square is an unbiased variance."""
    count = cell.bincount()
    scale = (count / (count - 1).clamp_min(1)).sqrt()
    return (fields - _means(fields, cell)[cell]) * scale[cell, None]


def _decides(a: Sequence[Hashable], b: Sequence[Hashable]) -> bool:
    """Whether members of equal ``a`` have equal ``b``."""
    return len(set(zip(a, b, strict=True))) == len(set(a))


def _parents(name: str, levels: Levels) -> list[str]:
    """The factors that one is nested in."""
    mine = levels[name]
    return [
        other
        for other, theirs in levels.items()
        if other != name and _decides(mine, theirs) and not _decides(theirs, mine)
    ]


def _check_crossed(levels: Levels, parents: Mapping[str, Sequence[str]]) -> None:
    """Refuse two factors whose effects cannot be told apart: their counts are not proportional."""
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
