"""From a library field to a sparse law: backward elimination of terms (METHOD section 5)."""

from dataclasses import dataclass
from math import log

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.stationarity.solve import Minimum, gauge_fixed, minimise
from eqflow.stationarity.weak import WeakForm


@dataclass(frozen=True, eq=False)
class Step:
    """A law on the way down: its ``support``, its coefficients and the rise of ``J`` so far."""

    support: Tensor
    values: Float[Tensor, " support"]
    rise: float


def path(form: WeakForm, found: Minimum) -> list[Step]:
    """Laws with ever fewer terms, the least significant one (Wald) removed each time.

    ``J`` is taken as quadratic around the minimum; :func:`eliminate` checks by fitting again.
    """
    support, values, rise = found.support, found.xi[found.support], 0.0
    fixed = gauge_fixed(form, found.xi, support, found.hessian)
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


def eliminate(form: WeakForm, found: Minimum, rounds: int = 4) -> Minimum:
    """The law with the least ``J + unknowns log N`` along the path, fitted again.

    A removal that the fit does not bear out is undone by halves.
    """
    for _ in range(rounds):
        smaller = _smaller(form, found)
        if smaller is None:
            break
        found = smaller
    return found


def criterion(form: WeakForm, statistic: float, unknowns: int) -> float:
    """Schwarz's criterion, up to a constant: ``J + unknowns log N``."""
    return statistic + unknowns * log(form.total)


def _smaller(form: WeakForm, found: Minimum) -> Minimum | None:
    steps = path(form, found)
    price = [criterion(form, step.rise, len(step.support)) for step in steps]
    last = price.index(min(price))
    now = criterion(form, found.statistic, len(found.support))
    while last > 0:
        step = steps[last]
        xi = torch.zeros_like(found.xi).index_put((step.support,), step.values)
        refit = minimise(form, xi, step.support)
        if criterion(form, refit.statistic, len(step.support)) < now:
            return refit
        last //= 2
    return None
