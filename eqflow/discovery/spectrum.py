"""Identifiability spectrum: how strongly the snapshots determine the equations (method section 6).

The spectrum lists fields of the library that are orthogonal to one another in ``E[v . w]``, each
with the least statistic that is left. Those that keep the distribution span the solution space; the
first that does not shows the gap. Each statistic is weighted by the covariance of its own field:
under one weight for all, fields whose moments happen to have large variances would pass for
solutions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from eqflow.discovery.candidates import MAX_STATISTIC_PER_MOMENT, Candidate, CandidateFitter
from eqflow.discovery.gmm import minimise
from eqflow.discovery.initial import global_minimum
from eqflow.discovery.symmetries import Generator, directions

DIMENSION_TEST_LEVEL = 1e-3
"""Level of the held-out test of each field; low, as there is a test for each dimension."""


MAX_STATISTIC_RATIO = 2.0
"""Statistic, relative to that of the candidate, above which a field is no solution.

The held-out test allows for the errors of a fit, which are large for fields of many unknowns, and
alone would let too many pass. With a hundred moments the ratio of the statistics of two solutions
is 1.0 +- 0.2."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Statistics per moment of successive orthogonal fields.

    A field that keeps the distribution has a value of about 1, with a standard error of ``error``.
    ``kept`` says which fields are taken for solutions.
    """

    values: list[float]
    kept: list[bool]
    error: float

    @property
    def dimension(self) -> int:
        """Dimension of the solution space: the number of fields before the first non-solution."""
        return self.kept.index(False) if False in self.kept else len(self.kept)

    @property
    def gap(self) -> float:
        """Excess over 1 of the first field that is no solution, over that of the last that is."""
        last = max(self.dimension, 1)
        if last >= len(self.values):
            return 0.0
        excess = [value - 1 for value in self.values[last - 1 : last + 1]]
        return max(excess[1], 0) / max(excess[0], self.error)


def preserved_symmetries(
    fitter: CandidateFitter, symmetries: Sequence[Generator]
) -> tuple[Generator, ...]:
    """The symmetries that keep the distribution, by the test that the spectrum's fields must pass.

    Approximate generators may have a larger statistic: on sharp patterns theirs is about 2 for each
    moment.
    """
    return tuple(g for g in symmetries if _keeps(fitter.symmetry_candidate(g), g.approximate))


def _keeps(candidate: Candidate, approximate: bool) -> bool:
    most = MAX_STATISTIC_PER_MOMENT if approximate else MAX_STATISTIC_RATIO
    small = candidate.minimum.statistic <= most * candidate.minimum.moment_count
    return small and candidate.test.p_value >= DIMENSION_TEST_LEVEL


def spectrum(fitter: CandidateFitter, candidate: Candidate, extra: int = 2) -> Spectrum:
    """Spectrum from a candidate on, with ``extra`` fields beyond the solutions.

    The symmetries of the fitter come next, as they have passed the test. All statistics are those
    of the pilot form. Further fields that may be solutions are refitted to all states, as the
    candidate was, before their held-out test.
    """
    form = fitter.pilot_form(candidate.columns)
    form.set_effective_size(candidate.minimum.xi)
    minima = [minimise(form, candidate.minimum.xi, candidate.minimum.support, tolerance=1)]
    kept = [candidate.test.p_value >= DIMENSION_TEST_LEVEL]
    symmetric = directions(fitter.symmetries, candidate.columns, form)
    if symmetric is not None:
        minima += [minimise(form, xi, steps=0) for xi in symmetric.T]
        kept += [True] * len(fitter.symmetries)
    while kept.count(False) < extra and len(minima) < len(candidate.minimum.xi) - 1:
        before = torch.stack([minimum.xi for minimum in minima], dim=1)
        field = fitter.candidate(candidate.columns, form, global_minimum(form, before))
        minima.append(field.minimum)
        limit = MAX_STATISTIC_RATIO * minima[0].statistic
        worse = field.minimum.statistic > limit
        if not (field.hopeless or worse):
            field = fitter.refit_orthogonal(field, candidate.form, before)
        kept.append(field.test.p_value >= DIMENSION_TEST_LEVEL and not worse)
    values = [minimum.statistic / minimum.moment_count for minimum in minima]
    return Spectrum(values, kept, (2 / minima[0].moment_count) ** 0.5)
