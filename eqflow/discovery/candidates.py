"""A library fitted on one sample and tested on another (method sections 5 and 6)."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.discovery.elimination import eliminate
from eqflow.discovery.gmm import Minimum, minimise, spread
from eqflow.discovery.initial import least
from eqflow.discovery.noise import NoisyPolynomial, NoisyWeakForm
from eqflow.discovery.sample import ImageSample, Sample
from eqflow.discovery.symmetries import Generator, directions, orthogonal
from eqflow.stationarity import Form, FourierFunctions, Stationarity, Sums, vanishing, weights
from eqflow.stationarity.images.functions import LocalFunctions

ACCEPTANCE_LEVEL = 0.01
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


FINE = 1e-6
"""Ridge of the last fit: close to its minimum the precision counts."""


HOPELESS = 6.0
"""Statistic per moment beyond which a fit is given up. It is about 1 for a law that holds, and up
to 4 where speeds are so uneven that few snapshots decide."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A library that was tried: the ``columns`` of its terms, the fit and its held-out test."""

    columns: Int[Tensor, " terms"]
    form: Form
    found: Minimum
    test: Stationarity

    @property
    def accepted(self) -> bool:
        """Whether held-out snapshots are compatible with the fit, and those it was fitted to.

        The test looks at few moments; a fit that is hopeless on many is none, whatever it says.
        """
        return self.test.p_value >= ACCEPTANCE_LEVEL and not self.hopeless

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
    and the moments are corrected for it. Laws are searched for up to multiples of the
    ``symmetries``: their pivots are zero.
    """

    sample: Sample | ImageSample
    held_out: Sample | ImageSample
    functions: FourierFunctions | LocalFunctions
    others: FourierFunctions | LocalFunctions
    fewest: int
    most: int
    total: Sums | None = None
    noisy: NoisyPolynomial | None = None
    symmetries: tuple[Generator, ...] = ()

    @cached_property
    def whole(self) -> Sample | ImageSample:
        """The sample, then what was held out."""
        return self.sample.joined(self.held_out, self.functions)  # type: ignore[arg-type]

    @property
    def scarce(self) -> bool:
        """Whether the held-out test has few observations: images, each of which counts as one."""
        return isinstance(self.held_out, ImageSample)

    def form(self, columns: Tensor) -> Form:
        """The weak form of some of the terms."""
        functions = self._functions(columns, self.fewest)
        return self._form(self.sample, columns, functions, self.total)

    def first(self, columns: Tensor) -> Form:
        """The weak form on the states, and with the functions, that starts are compared on."""
        states = self.sample[: FIRST * self._unknowns(columns)]
        return self._form(states, columns, self._functions(columns, FEWEST))

    def _form(
        self,
        sample: Sample | ImageSample,
        columns: Tensor,
        functions: FourierFunctions | LocalFunctions,
        total: Sums | None = None,
        rms: Float[Tensor, " terms"] | None = None,
    ) -> Form:
        if self.noisy is not None:
            assert isinstance(functions, FourierFunctions)
            return NoisyWeakForm(sample.z, self.noisy[columns], functions, rms=rms)
        part = total and total.part(len(functions), columns)
        return sample.form(columns, functions, part, rms)  # type: ignore[arg-type]

    def _functions(self, columns: Tensor, fewest: int) -> FourierFunctions | LocalFunctions:
        return self.functions.first(max(fewest, MOMENTS * self._unknowns(columns)))

    def groups(self, form: Form) -> Tensor | None:
        """The groups of a form's observations, where it was made of the first ones of all."""
        groups = self.whole.observation_groups
        return None if groups is None else groups[: form.size]

    def _unknowns(self, columns: Tensor) -> int:
        return len(columns) * self.sample.dim

    def fit(self, columns: Tensor) -> Candidate:
        """Least statistic of a library, from the best of several starts on ``FIRST`` states.

        A library that is hopeless there is not fitted any better.
        """
        form = self.first(columns)
        apart, held = directions(self.symmetries, columns, form), self._held(columns)
        start = least(form, apart).xi
        form.set_effective_size(start)
        free = None
        if apart is not None:
            start = start - apart @ torch.linalg.solve(apart[held], start[held])
            free = (~torch.isin(torch.arange(len(start)), held)).nonzero()[:, 0].to(start.device)
        first = self.candidate(columns, form, minimise(form, start, free, steps=0))
        if first.hopeless:
            return first
        form = self.form(columns)
        form.set_effective_size(start)
        return self.candidate(columns, form, minimise(form, first.found.xi, free))

    def _held(self, columns: Tensor) -> Tensor:
        """The unknowns that are zero in all laws: the pivots of symmetries."""
        return torch.tensor([one.held(columns) for one in self.symmetries], dtype=torch.long)

    def fixed(self, one: Generator) -> Candidate:
        """A symmetry as a law of the terms that it needs, with its test."""
        columns = one.columns
        form = self.form(columns)
        xi = form.normalised(one.unknowns(columns, form.rms))
        form.set_effective_size(xi)
        return self.candidate(columns, form, minimise(form, xi, xi.nonzero()[:, 0], steps=0))

    def refined(self, one: Candidate, form: Form, apart: Float[Tensor, "unknowns o"]) -> Candidate:
        """A fit continued on another form of its library, orthogonal to ``apart`` there."""
        xi, apart = _in_units(form, one), _scale(form, one)[:, None] * apart
        xi = orthogonal(form, xi, apart)
        return self.candidate(one.columns, form, minimise(form, xi, apart=apart))

    def candidate(self, columns: Tensor, form: Form, found: Minimum) -> Candidate:
        """A fit together with its test on the held-out snapshots."""
        return Candidate(columns, form, found, self._test(columns, form, found))

    def _test(self, columns: Tensor, form: Form, found: Minimum) -> Stationarity:
        held_out = self._form(self.held_out, columns, self.others, rms=form.rms)
        weight = weights(self.others)
        moments = weight * held_out.moments(found.xi)
        slopes = weight[:, None] * held_out.plain_jacobian[:, found.support]
        return vanishing(
            moments, self.held_out.observation_groups, fit=slopes @ spread(form, found)
        )

    def sparse(self, full: Candidate) -> Candidate:
        """The law left by backward elimination, if the test does not prefer the full one."""
        held = self._held(full.columns)
        found = eliminate(full.form, full.found, held if len(held) else None)
        law = self.candidate(full.columns, full.form, found)
        return law if law.accepted or not full.accepted else full

    def finished(self, law: Candidate) -> Candidate:
        """A law fitted again to all snapshots, those held out too, with ``most`` functions.

        Its test stays that of the fit that had not seen them.
        """
        total, count = None, self.fewest
        if self.noisy is None:
            seen = self.total or self.sample.sums(self.functions)  # type: ignore[arg-type]
            here = self.held_out.sums(self.functions)  # type: ignore[arg-type]
            total, count = seen.plus(here), self.most
        states, functions = self.whole[: self.whole.reservoir], self.functions.first(count)
        form = self._form(states, law.columns, functions, total)
        start, support = _in_units(form, law), law.found.support
        form.set_effective_size(start)
        return replace(law, form=form, found=minimise(form, start, support, ridge=FINE, steps=3))


def _in_units(form: Form, one: Candidate) -> Float[Tensor, " unknowns"]:
    return _scale(form, one) * one.found.xi


def _scale(form: Form, one: Candidate) -> Float[Tensor, " unknowns"]:
    """From the units of a fit's unknowns to those of another form of its library."""
    return (form.rms / one.form.rms).repeat_interleave(form.dim)
