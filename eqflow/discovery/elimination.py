"""Elimination of terms: from a full fit of a library to a sparse one (method section 5).

The sparse fit is the one with the least information criterion ``J + k log N``, with ``k`` unknowns
and ``N`` independent observations, that rounds of search and refit lead to.
"""

from dataclasses import dataclass
from math import log

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.discovery.gmm import Minimum, minimise
from eqflow.discovery.influence import influence
from eqflow.discovery.subsets import Quadratic
from eqflow.runtime.progress import doing
from eqflow.stationarity import Form

MIN_IMPROVEMENT = 0.1
"""Decrease of the information criterion for which another round is made."""


SINGLE_UNKNOWN_STARTS = 8
"""Number of largest unknowns, each of which alone is a support that a search starts from."""


REFITTED_SUPPORTS = 4
"""Number of supports that are refitted in each round, those with the least expected criterion."""


@dataclass(frozen=True, eq=False)
class Step:
    """A field on the path of elimination: support, coefficients and rise of ``J`` so far."""

    support: Int[Tensor, " support"]
    values: Float[Tensor, " support"]
    rise: float


def path(form: Form, minimum: Minimum) -> list[Step]:
    """Fields with ever fewer unknowns, the one with the least Wald statistic removed each time.

    ``J`` is taken as quadratic around the minimum.
    """
    support, values, rise = minimum.support, minimum.xi[minimum.support], 0.0
    covariance = influence(form, minimum).covariance
    steps = [Step(support, values, rise)]
    while len(support) > 1:
        wald = values**2 / covariance.diagonal().clamp_min(1e-300)
        k = int(wald.argmin())
        kept = torch.arange(len(values), device=values.device) != k
        rise += float(wald[k])
        column = covariance[:, k] / covariance[k, k]
        values = (values - column * values[k])[kept]
        covariance = (covariance - torch.outer(column, covariance[k]))[kept][:, kept]
        support = support[kept]
        steps.append(Step(support, values, rise))
    return steps


def information_criterion(form: Form, minimum: Minimum) -> float:
    """Schwarz's information criterion ``J + k log N``, up to a constant."""
    return minimum.statistic + len(minimum.support) * log(form.effective_size)


def eliminate(
    form: Form, minimum: Minimum, pivots: Int[Tensor, " p"] | None = None, rounds: int = 6
) -> Minimum:
    """The sparse fit that at most ``rounds`` of search and refit lead to from a full one.

    The unknowns ``pivots`` are zero and remain so. If no refit confirms what a search expects, the
    supports along the :func:`path` are refitted, and removals undone by halves.
    """
    for number in range(rounds):
        with doing(f"elimination, round {number + 1} of at most {rounds}"):
            better = _searched(form, minimum, pivots) or _shortened(form, minimum)
        if better is None:
            break
        minimum = better
    return minimum


def _searched(form: Form, minimum: Minimum, pivots: Tensor | None) -> Minimum | None:
    """The best refit to the supports that searches end at; None if it does not improve."""
    model, price = Quadratic.around(form, minimum, pivots), log(form.effective_size)
    starts, supports = _masks(minimum), set()
    for number, kept in enumerate(starts, start=1):
        with doing(f"search {number} of {len(starts)}"):
            supports.add(tuple(model.search(kept, price).tolist()))
    masks = [torch.tensor(support, device=minimum.xi.device) for support in supports]
    masks = sorted(masks, key=lambda kept: model.rise(~kept) + price * int(kept.sum()))
    refits = [
        minimise(form, model.without(torch.where(~kept)[0]), torch.where(kept)[0])
        for kept in masks[:REFITTED_SUPPORTS]
    ]
    best = min(refits, key=lambda refit: information_criterion(form, refit))
    limit = information_criterion(form, minimum) - MIN_IMPROVEMENT
    return best if information_criterion(form, best) < limit else None


def _masks(minimum: Minimum) -> list[Tensor]:
    """Masks of the unknowns that searches start from: those of the fit, all, single ones."""
    none = torch.zeros(len(minimum.xi), dtype=torch.bool, device=minimum.xi.device)
    single = minimum.xi.abs().argsort(descending=True)[:SINGLE_UNKNOWN_STARTS]
    masks = [none.index_fill(0, minimum.support, True), ~none]
    return masks + [none.index_fill(0, k[None], True) for k in single]


def _shortened(form: Form, minimum: Minimum) -> Minimum | None:
    steps = path(form, minimum)
    price = [step.rise + len(step.support) * log(form.effective_size) for step in steps]
    last = price.index(min(price))
    while last > 0:
        step = steps[last]
        xi = torch.zeros_like(minimum.xi).index_put((step.support,), step.values)
        refit = minimise(form, xi, step.support)
        if information_criterion(form, refit) < information_criterion(form, minimum):
            return refit
        last //= 2
    return None
