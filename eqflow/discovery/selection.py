"""Selection of the smallest library that passes the held-out test (method section 5)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from eqflow.discovery.candidates import Candidate, CandidateFitter
from eqflow.discovery.elimination import information_criterion
from eqflow.discovery.gmm import minimise
from eqflow.runtime.progress import doing

Pair = tuple[Candidate, Candidate]
"""The full candidate of a library and the sparse one left of it."""


DECISIVE_CRITERION_GAP = 10.0
"""Difference of the information criterion by which one candidate is decisively better."""


def select(fitter: CandidateFitter, libraries: Sequence[Tensor]) -> list[Pair]:
    """Candidates of the libraries in turn, up to the first accepted one; the selected one last.

    If the held-out test has few observations it accepts candidates that miss much. Then all
    libraries are fitted, and an accepted candidate must also not be decisively worse, by the
    information criterion on the fitted snapshots, than that of a larger library. If none is
    accepted, the one with the least effect size is chosen, to be reported as rejected.
    """
    pairs: list[Pair] = []
    for columns in libraries:
        with doing(f"library of {len(columns)} terms"):
            full = fitter.fit(columns)
            pairs.append((full, full if full.hopeless else fitter.eliminate(full)))
        if pairs[-1][1].accepted and not fitter.few_observations:
            return pairs
    sparse = [candidate for _, candidate in pairs]
    holding = [
        k
        for k, candidate in enumerate(sparse)
        if candidate.accepted and not any(_outdone(candidate, c) for c in sparse[k + 1 :])
    ]
    least = min(range(len(sparse)), key=lambda k: sparse[k].test.effect_size)
    best = holding[0] if holding else least
    return [*pairs[:best], *pairs[best + 1 :], pairs[best]]


def _outdone(small: Candidate, large: Candidate) -> bool:
    """Whether a candidate is decisively worse than that of a larger library, on its moments."""
    place = {int(a): k for k, a in enumerate(large.columns)}
    dim, xi = small.form.dim, torch.zeros_like(large.minimum.xi)
    rate = large.form.rms[[place[int(a)] for a in small.columns]] / small.form.rms
    term, variable = small.minimum.support // dim, small.minimum.support % dim
    columns = torch.tensor([place[int(small.columns[a])] for a in term], device=xi.device)
    support = columns * dim + variable
    xi[support] = small.minimum.xi[small.minimum.support] * rate[term]
    refit = information_criterion(large.form, minimise(large.form, xi, support))
    return refit > information_criterion(large.form, large.minimum) + DECISIVE_CRITERION_GAP
