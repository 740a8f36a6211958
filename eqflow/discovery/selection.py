"""Which terms: the smallest library that the stationarity test accepts (method section 5)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from eqflow.discovery.candidates import Candidate, Trial
from eqflow.discovery.elimination import criterion
from eqflow.discovery.gmm import minimise

Pair = tuple[Candidate, Candidate]


DECISIVE = 10.0
"""Difference of Schwarz's criterion that tells two laws apart."""


def select(trial: Trial, libraries: Sequence[Tensor]) -> list[Pair]:
    """Libraries in the order given, up to the first accepted law; the chosen one comes last.

    Each is a pair of the full fit and the law left of it. Where the held-out test has few
    observations it passes laws that miss much: then all libraries are tried, and an accepted law
    must not be outdone on the fitted snapshots by that of a larger one. Where none is accepted, the
    one with the least effect size is chosen: a rejected law, to be reported as such.
    """
    tried: list[Pair] = []
    for columns in libraries:
        full = trial.fit(columns)
        tried.append((full, full if full.hopeless else trial.sparse(full)))
        if tried[-1][1].accepted and not trial.scarce:
            return tried
    laws = [law for _, law in tried]
    holding = [
        k
        for k, law in enumerate(laws)
        if law.accepted and not any(_outdone(law, other) for other in laws[k + 1 :])
    ]
    least = min(range(len(laws)), key=lambda k: laws[k].test.effect_size)
    best = holding[0] if holding else least
    return [*tried[:best], *tried[best + 1 :], tried[best]]


def _outdone(small: Candidate, large: Candidate) -> bool:
    """Whether the law of a larger library fits its moments decisively better than a smaller law."""
    place = {int(a): k for k, a in enumerate(large.columns)}
    dim, xi = small.form.dim, torch.zeros_like(large.found.xi)
    rate = large.form.rms[[place[int(a)] for a in small.columns]] / small.form.rms
    term, variable = small.found.support // dim, small.found.support % dim
    columns = torch.tensor([place[int(small.columns[a])] for a in term], device=xi.device)
    support = columns * dim + variable
    xi[support] = small.found.xi[small.found.support] * rate[term]
    fitted = minimise(large.form, xi, support)
    return criterion(large.form, fitted) > criterion(large.form, large.found) + DECISIVE
