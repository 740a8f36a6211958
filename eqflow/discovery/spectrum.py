"""How strongly the data decide: the identifiability spectrum (method section 6).

Fields orthogonal to one another in the law's inner product, each with the least statistic left:
those that keep the law span the space of solutions, and the first that does not shows the gap. Each
is weighted by its own noise: under one weight for all, the fields whose moments happen to be noisy
would pass for solutions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from eqflow.discovery.candidates import HOPELESS, Candidate, Trial
from eqflow.discovery.gmm import minimise
from eqflow.discovery.initial import least
from eqflow.discovery.symmetries import Generator, directions

LEVEL = 1e-3
"""Level of the tests in turn: lower than that of one, as there is one for each dimension."""


WORSE = 2.0
"""Statistic, in that of the law, beyond which a field is no solution where the held-out test has
few observations. Of a hundred moments the ratio of two solutions is 1.0 +- 0.2."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Statistics per moment of successive fields, in units of their sampling noise.

    A field that keeps the law reads about 1 with an error of ``error``. ``kept`` says which ones
    are taken for solutions; ``dimension`` counts them up to the first that is not.
    """

    values: list[float]
    kept: list[bool]
    error: float

    @property
    def dimension(self) -> int:
        """Dimension of the space of fields that keep the law, 0 if none does."""
        return self.kept.index(False) if False in self.kept else len(self.kept)

    @property
    def gap(self) -> float:
        """Excess of the first field that is no solution over that of the last one that is."""
        last = max(self.dimension, 1)
        if last >= len(self.values):
            return 0.0
        excess = [value - 1 for value in self.values[last - 1 : last + 1]]
        return max(excess[1], 0) / max(excess[0], self.error)


def known(trial: Trial, candidates: Sequence[Generator]) -> tuple[Generator, ...]:
    """Those that keep the law: they pass the test that a spectrum's fields must.

    On sharp patterns the statistic of ``rough`` ones is about 2 for each moment: it may be more.
    """
    return tuple(one for one in candidates if _keeps(trial.fixed(one), one.rough))


def _keeps(one: Candidate, rough: bool) -> bool:
    worst = (HOPELESS if rough else WORSE) * one.found.moments
    return one.test.p_value >= LEVEL and one.found.statistic <= worst


def spectrum(trial: Trial, law: Candidate, extra: int = 2) -> Spectrum:
    """From a law on: fields of its library orthogonal to all before, ``extra`` beyond solutions.

    The trial's symmetries come next: they have passed the test. Statistics are those on the states
    that starts are compared on. Further fields that may be solutions are fitted to all states, as
    the law was, before the held-out test.
    """
    form = trial.first(law.columns)
    form.set_effective_size(law.found.xi)
    found = [minimise(form, law.found.xi, law.found.support, tolerance=1)]
    kept = [law.test.p_value >= LEVEL]
    moving = directions(trial.symmetries, law.columns, form)
    if moving is not None:
        found += [minimise(form, xi, steps=0) for xi in moving.T]
        kept += [True] * len(trial.symmetries)
    while kept.count(False) < extra and len(found) < len(law.found.xi) - 1:
        apart = torch.stack([one.xi for one in found], dim=1)
        one = trial.candidate(law.columns, form, least(form, apart))
        found.append(one.found)
        worse = trial.scarce and one.found.statistic > WORSE * found[0].statistic
        if not (one.hopeless or worse):
            one = trial.refined(one, law.form, apart)
        kept.append(one.test.p_value >= LEVEL and not worse)
    values = [one.statistic / one.moments for one in found]
    return Spectrum(values, kept, (2 / found[0].moments) ** 0.5)
