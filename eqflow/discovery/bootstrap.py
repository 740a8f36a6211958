"""Errors of a selected field by the bootstrap, with the selection done again (method section 6).

Around the fit of all unknowns the statistic is taken as quadratic. For every resample the minimum
moves by the influence of the observations (:mod:`eqflow.discovery.influence`), and the unknowns to
keep are searched for again. Errors of coefficients then hold the doubt about the terms too.
"""

from math import log
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.data import group_sums
from eqflow.discovery.gmm import Minimum, minimise
from eqflow.discovery.influence import influence
from eqflow.discovery.subsets import Quadratic
from eqflow.runtime import Draws, generator
from eqflow.runtime.progress import tell
from eqflow.stationarity import Form

RESAMPLES = 200
"""Number of bootstrap samples."""


class Resamples(NamedTuple):
    """Fields of bootstrap samples: with terms ``selected`` again, and with ``all`` of them."""

    selected: Float[Tensor, "draws unknowns"]
    all: Float[Tensor, "draws unknowns"]


def resampled(
    form: Form,
    minimum: Minimum,
    bias: Float[Tensor, " unknowns"] | float = 0.0,
    pivots: Int[Tensor, " p"] | None = None,
    groups: Int[Tensor, " n"] | None = None,
    seed: int = 0,
) -> Resamples:
    """Fields that bootstrap samples would have given in place of a selected one.

    The ``bias`` of the selected field is taken off all of them. ``pivots`` are unknowns that stay
    zero.
    """
    full = minimise(form, minimum.xi, ridge=minimum.ridge, steps=0)
    model, effects = Quadratic.around(form, minimum, pivots), influence(form, full).effects
    if pivots is not None:
        effects[:, pivots] = 0
    kept = torch.zeros(len(minimum.xi), dtype=torch.bool, device=minimum.xi.device)
    kept[minimum.support] = True
    every = model.centre - bias + draws(effects, form.count, RESAMPLES, groups, seed)
    selected = []
    for number, centre in enumerate(every, start=1):
        tell("bootstrap sample %d of %d", number, RESAMPLES)
        moved = Quadratic(centre, model.covariance)
        chosen = moved.search(kept, log(form.effective_size))
        selected.append(moved.without(torch.where(~chosen)[0]))
    return Resamples(torch.stack(selected), every)


def draws(
    effects: Float[Tensor, "n k"],
    total: float,
    count: int,
    groups: Int[Tensor, " n"] | None = None,
    seed: int = 0,
) -> Float[Tensor, "count k"]:
    """Bootstrap errors of means over ``total`` observations, from the ``effects`` of ``n`` of them.

    Exponential weights of mean one are drawn for each observation, or for each of ``groups``.

    Reference: Rubin (1981), The Bayesian bootstrap.
    """
    size, effects = len(effects), group_sums(effects, groups)
    draw = generator(seed, Draws.BOOTSTRAP)
    shape = (count, len(effects))
    weights = -torch.rand(shape, generator=draw, dtype=torch.double).log().to(effects.device)
    return (weights - 1) @ effects / (size * total) ** 0.5
