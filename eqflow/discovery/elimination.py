"""From a library field to a sparse law: backward elimination of terms (method section 5)."""

from dataclasses import dataclass
from math import log

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.discovery.gmm import Minimum, minimise, speed_fixed
from eqflow.discovery.subsets import Quadratic
from eqflow.stationarity import Form


@dataclass(frozen=True, eq=False)
class Step:
    """A law on the way down: its ``support``, its coefficients and the rise of ``J`` so far."""

    support: Tensor
    values: Float[Tensor, " support"]
    rise: float


def path(form: Form, found: Minimum) -> list[Step]:
    """Laws with ever fewer terms, the least significant one (Wald) removed each time.

    ``J`` is taken as quadratic around the minimum; :func:`eliminate` checks by fitting again.
    """
    support, values, rise = found.support, found.xi[found.support], 0.0
    fixed = speed_fixed(form, found.xi, support, found.hessian)
    fixed.diagonal().add_(1e-10 * found.hessian.diagonal())
    spread = torch.linalg.inv(fixed)
    steps = [Step(support, values, rise)]
    while len(support) > 1:
        wald = values**2 / spread.diagonal().clamp_min(1e-300)
        k = int(wald.argmin())
        kept = torch.arange(len(values), device=values.device) != k
        rise += float(wald[k])
        column = spread[:, k] / spread[k, k]
        values = (values - column * values[k])[kept]
        spread = (spread - torch.outer(column, spread[k]))[kept][:, kept]
        support = support[kept]
        steps.append(Step(support, values, rise))
    return steps


LEAST = 0.1
"""Fall of the criterion that makes another round worth while."""


SEEDS = 8
"""Fields of a single term that a search starts from, those that move the states most."""


REFITTED = 4
"""Supports that are fitted again in each round, those that promise most."""


def eliminate(form: Form, found: Minimum, held: Tensor | None = None, rounds: int = 6) -> Minimum:
    """The law with the least ``J + unknowns log N`` that rounds of search and refit lead to.

    Unknowns that are ``held`` are zero and stay so. Where no refit bears a search out, the
    removals along the path are tried, and undone by halves.
    """
    for _ in range(rounds):
        better = _searched(form, found, held) or _smaller(form, found)
        if better is None:
            break
        found = better
    return found


def criterion(form: Form, found: Minimum) -> float:
    """Schwarz's criterion, up to a constant: ``J + unknowns log N``."""
    return found.statistic + len(found.support) * log(form.total)


def _searched(form: Form, found: Minimum, held: Tensor | None) -> Minimum | None:
    """The best of the fits to the supports that searches from several places end at."""
    model, price = Quadratic.around(form, found, held), log(form.total)
    supports = {tuple(model.search(kept, price).tolist()) for kept in _seeds(form, found)}
    masks = [torch.tensor(support, device=found.xi.device) for support in supports]
    starts = sorted(masks, key=lambda kept: model.rise(~kept) + price * int(kept.sum()))
    fits = [
        minimise(form, model.without(torch.where(~kept)[0]), torch.where(kept)[0])
        for kept in starts[:REFITTED]
    ]
    best = min(fits, key=lambda fit: criterion(form, fit))
    return best if criterion(form, best) < criterion(form, found) - LEAST else None


def _seeds(form: Form, found: Minimum) -> list[Tensor]:
    """Masks of unknowns: those of the fit, all, and single ones."""
    none = torch.zeros(len(found.xi), dtype=torch.bool, device=found.xi.device)
    single = found.xi.abs().argsort(descending=True)[:SEEDS]
    seeds = [none.index_fill(0, found.support, True), ~none]
    return seeds + [none.index_fill(0, k[None], True) for k in single]


def _smaller(form: Form, found: Minimum) -> Minimum | None:
    steps = path(form, found)
    price = [step.rise + len(step.support) * log(form.total) for step in steps]
    last = price.index(min(price))
    while last > 0:
        step = steps[last]
        xi = torch.zeros_like(found.xi).index_put((step.support,), step.values)
        refit = minimise(form, xi, step.support)
        if criterion(form, refit) < criterion(form, found):
            return refit
        last //= 2
    return None
