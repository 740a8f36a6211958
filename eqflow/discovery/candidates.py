"""Candidates: libraries fitted to one part of the snapshots and tested on the rest.

The fit has the least statistic of the weak form (method section 5); the held-out test is that of
stationarity, with other test functions (method section 6).
"""

from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.data import random_half
from eqflow.discovery.elimination import eliminate
from eqflow.discovery.gmm import Minimum, minimise
from eqflow.discovery.influence import influence
from eqflow.discovery.initial import global_minimum
from eqflow.discovery.noise import NoisyPolynomial, NoisyWeakForm
from eqflow.discovery.sample import ImageSample, VectorSample
from eqflow.discovery.symmetries import Generator, directions, orthogonal
from eqflow.runtime import Draws, generator
from eqflow.stationarity import (
    Form,
    FourierFunctions,
    RandomWaves,
    Stationarity,
    Sums,
    moment_weights,
    zero_mean_test,
)

ACCEPTANCE_LEVEL = 0.01
"""Level of the held-out test: the right library is rejected once in a hundred times."""


PILOT_STATES_PER_UNKNOWN = 160
"""Snapshots for each unknown in the pilot form, on which initial fields are compared."""


MIN_FUNCTIONS = 100
"""Least number of test functions of the pilot form."""


FUNCTIONS_PER_UNKNOWN = 1.5
"""Least number of test functions for each unknown. Libraries that meet so few moments on any data
do not pass the held-out test."""


FINAL_RIDGE = 1e-4
"""Ridge on the covariance of the moments in the refit, which starts close to its minimum."""


HALVINGS = 2
"""Number of times that snapshots are divided into random halves to find the bias of a fit."""


MAX_STATISTIC_PER_MOMENT = 6.0
"""Statistic per moment above which a fit is given up.

It is about 1 for the right library, and up to 4 where speeds are so uneven that few snapshots
decide."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fit of the terms ``columns`` of a library, with its weak form and its held-out test.

    ``bias`` is what the fit is off on average, if it is known.
    """

    columns: Int[Tensor, " terms"]
    form: Form
    minimum: Minimum
    test: Stationarity
    bias: Float[Tensor, " unknowns"] | None = None

    @property
    def xi(self) -> Float[Tensor, " unknowns"]:
        """Its unknowns, less their bias."""
        return self.minimum.xi if self.bias is None else self.minimum.xi - self.bias

    @property
    def accepted(self) -> bool:
        """Whether neither the held-out snapshots nor those it was fitted to contradict it.

        The test looks at few moments. A fit whose many moments are far too large is rejected
        whatever the test says.
        """
        return self.test.p_value >= ACCEPTANCE_LEVEL and not self.hopeless

    @property
    def hopeless(self) -> bool:
        """Whether the statistic per moment is above ``MAX_STATISTIC_PER_MOMENT``."""
        return self.minimum.statistic > MAX_STATISTIC_PER_MOMENT * self.minimum.moment_count

    def rescaling(self, form: Form) -> Float[Tensor, " unknowns"]:
        """Factors from its unknowns to those in another form, with terms scaled by another rms."""
        return (form.rms / self.form.rms).repeat_interleave(form.dim)

    def unknowns(self, form: Form) -> Float[Tensor, " unknowns"]:
        """Its unknowns in another form of its library."""
        return self.rescaling(form) * self.minimum.xi


@dataclass(frozen=True, eq=False)
class CandidateFitter:
    """Fits candidates on one sample and tests them on another.

    Attributes:
        sample: Snapshots that are fitted to.
        held_out: Snapshots of the test.
        functions: Test functions of the fits, in the order in which they are taken.
        held_out_functions: Test functions of the held-out test.
        function_count: Number of test functions of a fit, if ``FUNCTIONS_PER_UNKNOWN`` ask for no
            more.
        final_function_count: Number of test functions of the refit to all snapshots.
        total: Sums over all snapshots to fit to, for all functions and terms; those over the sample
            by default.
        noisy: Estimates of the terms from states with measurement noise, if there is any.
        symmetries: Symmetries up to multiples of which equations are fitted.
    """

    sample: VectorSample | ImageSample
    held_out: VectorSample | ImageSample
    functions: RandomWaves
    held_out_functions: RandomWaves
    function_count: int
    final_function_count: int
    total: Sums | None = None
    noisy: NoisyPolynomial | None = None
    symmetries: tuple[Generator, ...] = ()

    @cached_property
    def all_snapshots(self) -> VectorSample | ImageSample:
        """The sample, followed by the held-out snapshots."""
        return self.sample.joined(self.held_out, self.functions)  # type: ignore[arg-type]

    @property
    def few_observations(self) -> bool:
        """Whether the held-out test has few observations: images, each of which counts as one."""
        return isinstance(self.held_out, ImageSample)

    def form(self, columns: Int[Tensor, " terms"]) -> Form:
        """Weak form of the terms ``columns`` on the sample."""
        functions = self._functions(columns, self.function_count)
        return self._form(self.sample, columns, functions, self.total)

    def pilot_form(self, columns: Int[Tensor, " terms"]) -> Form:
        """Weak form with fewer snapshots and functions, on which initial fields are compared."""
        states = self.sample.first(PILOT_STATES_PER_UNKNOWN * self._unknown_count(columns))
        return self._form(states, columns, self._functions(columns, MIN_FUNCTIONS))

    def _form(
        self,
        sample: VectorSample | ImageSample,
        columns: Tensor,
        functions: RandomWaves,
        total: Sums | None = None,
        rms: Tensor | None = None,
    ) -> Form:
        if self.noisy is not None:
            assert isinstance(functions, FourierFunctions)
            return NoisyWeakForm(sample.z, self.noisy[columns], functions, rms)
        part = total and total.part(len(functions), columns)
        return sample.form(columns, functions, part, rms)  # type: ignore[arg-type]

    def _functions(self, columns: Tensor, count: int) -> RandomWaves:
        return self.functions.first(
            max(count, ceil(FUNCTIONS_PER_UNKNOWN * self._unknown_count(columns)))
        )

    def _unknown_count(self, columns: Tensor) -> int:
        return len(columns) * self.sample.dim

    def groups(self, form: Form) -> Int[Tensor, " observations"] | None:
        """Groups of the observations of a form that was made of the first snapshots of all."""
        groups = self.all_snapshots.observation_groups
        return None if groups is None else groups[: form.sample_size]

    def fit(self, columns: Int[Tensor, " terms"]) -> Candidate:
        """Full candidate of the terms ``columns``.

        It is the least of several minima on the pilot form, refitted on the sample unless it is
        hopeless.
        """
        form = self.pilot_form(columns)
        symmetric, pivots = directions(self.symmetries, columns, form), self.pivots(columns)
        start = global_minimum(form, symmetric).xi
        form.set_effective_size(start)
        free = None
        if symmetric is not None:
            start = start - symmetric @ torch.linalg.solve(symmetric[pivots], start[pivots])
            free = (~torch.isin(torch.arange(len(start)), pivots)).nonzero()[:, 0].to(start.device)
        pilot = self.candidate(columns, form, minimise(form, start, free, steps=0))
        if pilot.hopeless:
            return pilot
        form = self.form(columns)
        form.set_effective_size(start)
        return self.candidate(columns, form, minimise(form, pilot.minimum.xi, free))

    def pivots(self, columns: Int[Tensor, " terms"]) -> Int[Tensor, " o"]:
        """Unknowns of the symmetries, which are zero in every fit."""
        pivots = [generator.pivot_unknown(columns) for generator in self.symmetries]
        return torch.tensor(pivots, dtype=torch.long)

    def symmetry_candidate(self, generator: Generator) -> Candidate:
        """The motion along a symmetry as a candidate of its own terms."""
        columns = generator.columns
        form = self.form(columns)
        xi = form.normalised(generator.unknowns(columns, form.rms))
        form.set_effective_size(xi)
        return self.candidate(columns, form, minimise(form, xi, xi.nonzero()[:, 0], steps=0))

    def refit_orthogonal(
        self, candidate: Candidate, form: Form, others: Float[Tensor, "unknowns o"]
    ) -> Candidate:
        """Refit of a candidate on another form of its library, orthogonal to ``others``."""
        others = candidate.rescaling(form)[:, None] * others
        xi = orthogonal(form, candidate.unknowns(form), others)
        return self.candidate(candidate.columns, form, minimise(form, xi, orthogonal_to=others))

    def candidate(self, columns: Int[Tensor, " terms"], form: Form, minimum: Minimum) -> Candidate:
        """A fit together with its held-out test, which allows for the errors of the fit."""
        held_out = self._form(self.held_out, columns, self.held_out_functions, rms=form.rms)
        weights = moment_weights(self.held_out_functions)
        slopes = weights[:, None] * held_out.plain_jacobian[:, minimum.support]
        test = zero_mean_test(
            weights * held_out.moments(minimum.xi),
            self.held_out.observation_groups,
            fit=slopes @ influence(form, minimum).covariance @ slopes.T,
        )
        return Candidate(columns, form, minimum, test)

    def eliminate(self, full: Candidate) -> Candidate:
        """Sparse candidate left by elimination, unless the test accepts only the full one."""
        minimum = self._eliminated(full.columns, full.form, full.minimum)
        sparse = self.candidate(full.columns, full.form, minimum)
        return sparse if sparse.accepted or not full.accepted else full

    def refit_on_all(self, full: Candidate, candidate: Candidate) -> Candidate:
        """Terms of a candidate chosen again on all snapshots, and refitted there.

        The choice is made with as many test functions as in the fit, the refit with fewer: many
        moments would spoil the errors. Its test is that of the same terms fitted to the sample. The
        terms of images stay: blocks of few images would keep too many.
        """
        if candidate is not full and not self.few_observations:
            form = self._form_of_all(full, self.function_count)
            start = full.unknowns(form)
            form.set_effective_size(start)
            support = self._eliminated(
                full.columns, form, minimise(form, start, full.minimum.support)
            ).support
            sample = candidate.form
            again = minimise(sample, _restricted(full.minimum.xi, support), support)
            tested = self.candidate(full.columns, sample, again)
            candidate = tested if tested.accepted else candidate
        form = self._form_of_all(candidate, self.final_function_count)
        start = candidate.unknowns(form)
        form.set_effective_size(start)
        minimum = minimise(
            form, start, candidate.minimum.support, ridge=FINAL_RIDGE, tolerance=0.01
        )
        refit = replace(candidate, form=form, minimum=minimum)
        return replace(refit, bias=self._bias(refit))

    def _bias(self, candidate: Candidate) -> Float[Tensor, " unknowns"]:
        """Bias of a refit to all snapshots, by the jackknife over random halves.

        A bias of order ``1 / N`` is twice as large on a half, so that it is the mean of the fits to
        halves less the fit to the whole. With many moments it would exceed the standard errors.

        Reference: Quenouille (1956), Notes on bias in estimation.
        """
        states = self.all_snapshots.first(self.all_snapshots.reservoir)
        draw = generator(0, Draws.BOOTSTRAP)
        masks = [random_half(len(states), states.groups, draw) for _ in range(HALVINGS)]
        halves = [states.part(half) for mask in masks for half in (mask, ~mask)]
        whole, *parts = [self._refit_to(part, candidate) for part in (states, *halves)]
        share = len(states) / len(self.all_snapshots)
        return share * (torch.stack(parts).mean(0) - whole)

    def _refit_to(self, states: Any, candidate: Candidate) -> Float[Tensor, " unknowns"]:
        functions = self._functions(candidate.columns, self.final_function_count)
        form = self._form(states, candidate.columns, functions, rms=candidate.form.rms)
        minimum = candidate.minimum
        fit = minimise(form, minimum.xi, minimum.support, minimum.ridge, tolerance=0.01)
        return candidate.form.normalised(fit.xi)

    def _eliminated(self, columns: Tensor, form: Form, minimum: Minimum) -> Minimum:
        pivots = self.pivots(columns)
        return eliminate(form, minimum, pivots if len(pivots) else None)

    def _form_of_all(self, candidate: Candidate, count: int) -> Form:
        """Weak form of a candidate's library on all snapshots."""
        states = self.all_snapshots.first(self.all_snapshots.reservoir)
        functions, total = self._functions(candidate.columns, count), None
        if self.noisy is None:
            fitted = self.total or self.sample.sums(self.functions)  # type: ignore[arg-type]
            held_out = self.held_out.sums(self.functions)  # type: ignore[arg-type]
            total = fitted.plus(held_out)
        return self._form(states, candidate.columns, functions, total)


def _restricted(xi: Tensor, support: Tensor) -> Tensor:
    """The field whose unknowns outside the support are set to zero."""
    return torch.zeros_like(xi).index_copy(0, support, xi[support])
