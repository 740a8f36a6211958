"""A library fitted on one sample and tested on another (METHOD sections 5 and 6)."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.stationarity.elimination import eliminate
from eqflow.stationarity.functions import FourierFunctions
from eqflow.stationarity.hotelling import Stationarity, vanishing, weights
from eqflow.stationarity.noise import NoisyPolynomial, NoisyWeakForm
from eqflow.stationarity.solve import Minimum, minimise, spread
from eqflow.stationarity.starts import least
from eqflow.stationarity.weak import Sums, WeakForm, sums

ACCEPTED = 0.01
"""Level of the test that accepts a library: a true one is passed over once in a hundred times."""

FIRST = 160
"""States for each unknown on which the starting directions are compared."""

FEWEST = 100
"""Test functions with few snapshots or unknowns."""

MOMENTS = 5
"""Test functions for each unknown, where the least number is not enough."""

MOST = 600
"""Test functions that an accepted law is fitted with at last, where snapshots are many."""

SCARCE = 40
"""Snapshots for each of these functions, where they are few."""

RESERVOIR = 20_000
"""States on which covariances are taken; means are those of all snapshots."""

FINE = 1e-6
"""Ridge of the last fit: close to its minimum the precision counts."""

HOPELESS = 6.0
"""Statistic per moment beyond which a fit is given up. It is about 1 for a law that holds, and up
to 4 where speeds are so uneven that few snapshots decide."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Standardised states and the values of the terms there.

    ``groups`` label correlated states; None if all are independent.
    """

    z: Float[Tensor, "n dim"]
    theta: Float[Tensor, "n terms"]
    groups: Int[Tensor, " n"] | None = None

    def __getitem__(self, rows: slice) -> "Sample":
        groups = None if self.groups is None else self.groups[rows]
        return Sample(self.z[rows], self.theta[rows], groups)

    def __add__(self, other: "Sample") -> "Sample":
        groups = None
        if self.groups is not None and other.groups is not None:
            groups = torch.cat([self.groups, other.groups])
        return Sample(torch.cat([self.z, other.z]), torch.cat([self.theta, other.theta]), groups)

    def sums(self, functions: FourierFunctions) -> Sums:
        """Its part of the moments."""
        return sums(self.z, self.theta, functions)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A library that was tried: the ``columns`` of its terms, the fit and its held-out test."""

    columns: Int[Tensor, " terms"]
    form: WeakForm
    found: Minimum
    test: Stationarity

    @property
    def accepted(self) -> bool:
        """Whether held-out snapshots are compatible with the fit, and those it was fitted to.

        The test looks at few moments; a fit that is hopeless on many is none, whatever it says.
        """
        return self.test.p_value >= ACCEPTED and not self.hopeless

    @property
    def hopeless(self) -> bool:
        """Whether the fit is so bad that nothing can be made of it."""
        return self.found.statistic > HOPELESS * self.found.moments


@dataclass(frozen=True, eq=False)
class Trial:
    """Fits libraries on one sample and tests them on another with other test functions.

    Of ``functions`` a library gets the first ``fewest``, or ``MOMENTS`` for each unknown if those
    are more: a large library could meet few moments whatever the data. The last fit of a law takes
    ``most``. ``total`` are the sums over
    all states, with all functions and terms. With ``noisy`` terms, states are measured with noise,
    and the moments are corrected for it.
    """

    sample: Sample
    held_out: Sample
    functions: FourierFunctions
    others: FourierFunctions
    fewest: int
    most: int
    total: Sums | None = None
    noisy: NoisyPolynomial | None = None

    @property
    def whole(self) -> Sample:
        """The sample, then what was held out."""
        return self.sample + self.held_out

    def form(self, columns: Tensor) -> WeakForm:
        """The weak form of some of the terms."""
        functions = self._functions(columns, self.fewest)
        return self._form(self.sample, columns, functions, self.total)

    def first(self, columns: Tensor) -> WeakForm:
        """The weak form on the states, and with the functions, that starts are compared on."""
        states = self.sample[: FIRST * self._unknowns(columns)]
        return self._form(states, columns, self._functions(columns, FEWEST))

    def _form(
        self,
        sample: Sample,
        columns: Tensor,
        functions: FourierFunctions,
        total: Sums | None = None,
    ) -> WeakForm:
        if self.noisy is not None:
            return NoisyWeakForm(sample.z, self.noisy[columns], functions)
        if total is not None:
            tested, gram, states = total
            total = Sums(tested[: len(functions), columns], gram[columns][:, columns], states)
        return WeakForm(sample.z, sample.theta[:, columns], functions, total)

    def _functions(self, columns: Tensor, fewest: int) -> FourierFunctions:
        return self.functions.first(max(fewest, MOMENTS * self._unknowns(columns)))

    def _unknowns(self, columns: Tensor) -> int:
        return len(columns) * self.sample.z.shape[1]

    def fit(self, columns: Tensor) -> Candidate:
        """Least statistic of a library, from the best of several starts on ``FIRST`` states.

        A library that is hopeless there is not fitted any better.
        """
        form = self.first(columns)
        first = self.candidate(columns, form, least(form))
        if first.hopeless:
            return first
        form = self.form(columns)
        return self.candidate(columns, form, minimise(form, first.found.xi))

    def refined(
        self, one: Candidate, form: WeakForm, apart: Float[Tensor, "unknowns o"]
    ) -> Candidate:
        """A fit continued on another form of its library, orthogonal to ``apart`` there."""
        xi, apart = _in_units(form, one), _scale(form, one)[:, None] * apart
        dual = form.metric @ apart
        xi = xi - apart @ torch.linalg.solve(apart.T @ dual, dual.T @ xi)
        return self.candidate(one.columns, form, minimise(form, xi, apart=apart))

    def candidate(self, columns: Tensor, form: WeakForm, found: Minimum) -> Candidate:
        """A fit together with its test on the held-out snapshots."""
        return Candidate(columns, form, found, self._test(columns, form, found))

    def _test(self, columns: Tensor, form: WeakForm, found: Minimum) -> Stationarity:
        z, groups, weight = self.held_out.z, self.held_out.groups, weights(self.others)
        if self.noisy is None:
            theta = self.held_out.theta[:, columns]
            held_out = WeakForm(z, theta, self.others, rms=form.rms)
        else:
            held_out = NoisyWeakForm(z, self.noisy[columns], self.others, rms=form.rms)
        moments = weight * held_out.moments(found.xi)
        slopes = weight[:, None] * held_out.plain_jacobian[:, found.support]
        return vanishing(moments, groups, fit=slopes @ spread(form, found))

    def sparse(self, full: Candidate) -> Candidate:
        """The law left by backward elimination, if the test does not prefer the full one."""
        found = eliminate(full.form, full.found)
        law = self.candidate(full.columns, full.form, found)
        return law if law.accepted or not full.accepted else full

    def finished(self, law: Candidate) -> Candidate:
        """A law fitted again to all snapshots, those held out too, with ``most`` functions.

        Its test stays that of the fit that had not seen them.
        """
        total, count = None, self.fewest
        if self.noisy is None:
            seen = self.total or self.sample.sums(self.functions)
            total, count = seen.plus(self.held_out.sums(self.functions)), self.most
        states, functions = self.whole[:RESERVOIR], self.functions.first(count)
        form = self._form(states, law.columns, functions, total)
        start, support = _in_units(form, law), law.found.support
        return replace(law, form=form, found=minimise(form, start, support, ridge=FINE, steps=3))


def _in_units(form: WeakForm, one: Candidate) -> Float[Tensor, " unknowns"]:
    return _scale(form, one) * one.found.xi


def _scale(form: WeakForm, one: Candidate) -> Float[Tensor, " unknowns"]:
    """From the units of a fit's unknowns to those of another form of its library."""
    return (form.rms / one.form.rms).repeat_interleave(form.dim)
