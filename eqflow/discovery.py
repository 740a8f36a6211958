"""From snapshots to equations: fit a library field and say how far the data decide it.

Everything is fitted on one part of the snapshots and tested on the rest (METHOD sections 5, 6).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import jvp

from eqflow.errors import InputError
from eqflow.fields import Library
from eqflow.groups import boundary
from eqflow.snapshots import Standardiser
from eqflow.stationarity import (
    ACCEPTED,
    FEWEST,
    MOMENTS,
    Candidate,
    FourierFunctions,
    NoisyPolynomial,
    Orientation,
    Sample,
    Sums,
    Trial,
    check_noise,
    draws,
    influence,
    orientation,
    path,
    profile_noise,
    select,
    spectrum,
    sums,
)

HELD_OUT = 0.3
"""Share of the snapshots that a fit does not see."""

TRUSTED = 0.05
"""Held-out p-value that a law must have to be called recovered; to be chosen it needs less."""

APART = 2.0
"""Gap that a law must have to be called recovered."""

CLOSE = 0.95
"""Cosine to the fit that 95 % of the bootstrap's fields must reach for a law to be determined."""


ENOUGH = 10
"""Snapshots for each unknown that a larger library must have to be tried of itself."""

PROBED = 0.1
"""Size of the noise that an estimate of it starts from."""

RESERVOIR = 20_000
"""States on which covariances are taken; means are those of all snapshots."""

SINGULAR = 1e-13
"""Relative size of an eigenvalue of the terms' second moments that counts as zero."""


@dataclass(frozen=True)
class Findings:
    """What was tried and how far the data decide, in plain values (METHOD section 6).

    ``degrees`` has a row for each library tried, ``path`` the terms left and the rise of the
    statistic along the elimination. ``low`` and ``high``, (terms, dim), are 95 % intervals of the
    coefficients in raw units, given the terms that were kept; ``direction`` is the cosine to the
    fit that 95 % of the bootstrap's fields reach.
    """

    degree: int
    degrees: list[dict[str, float]]
    path: list[dict[str, float]]
    p_value: float
    effect_size: float
    spectrum: list[float]
    error: float
    dimension: int
    gap: float
    direction: float
    divergence: float
    divergence_error: float
    oriented: bool
    low: list[list[float]]
    high: list[list[float]]
    noise_std: float = 0.0

    def numbers(self) -> dict[str, float]:
        """What goes into the table of measures."""
        return {
            "selection/degree": self.degree,
            "selection/terms": sum(
                low != high
                for row in zip(self.low, self.high, strict=True)
                for low, high in zip(*row, strict=True)
            ),
            "selection/p_value": self.p_value,
            "spectrum/dimension": self.dimension,
            "spectrum/gap": self.gap,
            "bootstrap/direction": self.direction,
            "orientation": int(self.oriented),
            "noise/std": self.noise_std,
        }

    @property
    def reason(self) -> str:
        """Why no law is determined; empty where one is."""
        return why_not(self.p_value, self.dimension, self.gap, self.direction)

    @property
    def note(self) -> str:
        """The statement on the sign that goes beneath the equations."""
        evidence = f"E div v = {self.divergence:.3g} +- {self.divergence_error:.2g}"
        if self.oriented:
            return f"The sign follows from contraction ({evidence} per transit time)."
        return f"The sign is undetermined: no contraction is seen ({evidence} per transit time)."


def check_options(field: Library, functions: int = 250, noise_std: float | None = 0.0) -> None:
    """Refuse options of a fit that need no data to be seen as wrong."""
    if not isinstance(functions, int) or functions < 1:
        raise InputError(f"flow.training.functions={functions}: expected an integer >= 1")
    if noise_std != 0:
        check_noise(field.terms, PROBED if noise_std is None else noise_std)


def why_not(p_value: float, dimension: int, gap: float, direction: float) -> str:
    """Why no law is determined; empty where one is."""
    if p_value < ACCEPTED:
        return "no library that was tried keeps the distribution"
    if p_value < TRUSTED:
        return f"the held-out test leaves it in doubt, p = {p_value:.2g}"
    if dimension != 1:
        return f"the fields that keep the distribution span {dimension} dimensions"
    if gap < APART:
        return "another field keeps the distribution nearly as well"
    if direction < CLOSE:
        return "the bootstrap's fields point in different directions"
    return ""


class Discovery:
    """Fit of a library field to standardised snapshots, shuffled, ``(n, dim)``.

    ``groups`` label snapshots that are correlated, side by side: the fit sees all of a group or
    nothing. ``noise_std`` is the size of the measurement
    noise, as a fraction of each feature's standard deviation in the snapshots; None has it
    estimated. With noise, no more than ``RESERVOIR`` snapshots are used. Raises ``InputError`` for
    fewer snapshots than unknowns and for terms that are not finite or not independent on the data.
    """

    def __init__(
        self,
        field: Library,
        z: Float[Tensor, "n dim"],
        standardiser: Standardiser,
        groups: Int[Tensor, " n"] | None = None,
        functions: int = 250,
        noise_std: float | None = 0.0,
        seed: int = 0,
    ) -> None:
        check_options(field, functions, noise_std)
        self.noise_std = noise_std
        self.field, self.seed = field, seed
        field.standardiser.load_state_dict(standardiser.state_dict())
        self.fitted = boundary(len(z) - min(int(HELD_OUT * len(z)), RESERVOIR), groups)
        self.sample = self._sample(z[: min(self.fitted, RESERVOIR)], groups)
        self.held_out = self._sample(z[self.fitted :], groups, self.fitted)
        self.libraries = self._affordable(field.columns)
        self.fewest = min(functions, max(FEWEST, self.fitted // 10))
        count = max(self.fewest, MOMENTS * len(self.libraries[-1]) * field.dim)
        self.functions = FourierFunctions.of(self.sample.z, count, seed=seed)
        self.others = FourierFunctions.of(self.sample.z, functions, seed=seed + 1)

    def sums(self, z: Float[Tensor, "n dim"]) -> Sums:
        """What a batch of standardised states adds to the moments."""
        z = z.double()
        return sums(z, self.field.theta(z), self.functions)

    def run(self, total: Sums | None = None) -> Findings:
        """Choose the terms, set the field's coefficients and say how far the data decide.

        ``total`` are the sums over the first ``fitted`` snapshots, those of the sample if left out.
        """
        if self.noise_std is not None:
            trial = self._trial(self.noise_std, total)
            return self._findings(trial, select(trial, self.libraries))
        tried: list[tuple[Candidate, Candidate]] = []
        for columns in self.libraries:
            trial = self._trial(self._profiled(columns))
            tried += select(trial, [columns])
            if tried[-1][1].accepted:
                break
        return self._findings(trial, tried)

    def _trial(self, noise_std: float, total: Sums | None = None) -> Trial:
        parts = (self.sample, self.held_out, self.functions, self.others, self.fewest)
        if not noise_std:
            return Trial(*parts, total)
        return Trial(*parts, noisy=self._noisy(noise_std))

    def _noisy(self, noise_std: float) -> NoisyPolynomial:
        units = self.field.standardiser
        return NoisyPolynomial(self.field.terms, units.mean, units.std, noise_std)

    def _profiled(self, columns: Tensor) -> float:
        """The size of the noise under which a library fits best."""
        library, functions = self._noisy(PROBED)[columns], self.functions.first(FEWEST)
        return profile_noise(self.sample.z, library, functions).noise_std

    def _findings(self, trial: Trial, tried: list[tuple[Candidate, Candidate]]) -> Findings:
        full, law = tried[-1]
        form, found = law.form, law.found
        errors = draws(
            influence(form, found), form.total, groups=self.sample.groups, seed=self.seed
        )
        rate = (self.field.standardiser.std / form.rms[:, None]).flatten()[found.support]
        values = found.xi[found.support] * rate
        where = self._place(law)
        sense = self._orientation(trial, where, values, errors * rate)
        low, high = (values + (errors * rate).quantile(q, dim=0) for q in (0.025, 0.975))
        if sense.sign < 0:
            low, high = -high, -low
        self.field.coefficients.copy_(self._filled(where, sense.sign * values))
        shape = spectrum(trial, full)
        return Findings(
            degree=self._degree(full),
            degrees=[self._row(*pair) for pair in tried],
            path=[{"terms": len(s.support), "rise": s.rise} for s in path(full.form, full.found)],
            p_value=law.test.p_value,
            effect_size=law.test.effect_size,
            spectrum=shape.values,
            error=shape.error,
            dimension=shape.dimension if law.accepted else 0,
            gap=shape.gap,
            direction=_direction(law, errors),
            divergence=sense.sign * sense.divergence,
            divergence_error=sense.error,
            oriented=sense.determined,
            low=self._filled(where, low).tolist(),
            high=self._filled(where, high).tolist(),
            noise_std=trial.noisy.noise_std if trial.noisy else 0.0,
        )

    def _sample(self, z: Tensor, groups: Tensor | None, start: int = 0) -> Sample:
        z = z.double()
        self.field.terms.check_finite(self.field.standardiser.raw(z))
        labels = None if groups is None else groups[start : start + len(z)]
        return Sample(z, self.field.theta(z), labels)

    def _affordable(self, libraries: list[Tensor]) -> list[Tensor]:
        """The libraries with fewer unknowns than snapshots and with independent terms."""
        for place, columns in enumerate(libraries):
            unknowns = len(columns) * self.field.dim
            reason = ""
            if place and self.fitted < ENOUGH * unknowns:
                return libraries[:place]
            if unknowns >= min(self.fitted, len(self.sample.z)):
                reason = f"{unknowns} unknowns and {self.fitted} snapshots to fit them found"
            elif _singular(self.sample.theta[:, columns]):
                reason = f"{len(columns)} terms that are not independent on the snapshots found"
            if reason and place:
                return libraries[:place]
            if reason:
                raise InputError(
                    f"flow.field: {reason}; expected fewer terms (flow.field.degree), more "
                    "snapshots, or features that are no copies or combinations of each other"
                )
        return libraries

    def _place(self, law: Candidate) -> Tensor:
        """Rows and columns of the field's coefficients that the unknowns of a law are."""
        term, variable = law.found.support // law.form.dim, law.found.support % law.form.dim
        return torch.stack([law.columns[term], variable])

    def _filled(self, place: Tensor, values: Tensor) -> Float[Tensor, "terms dim"]:
        return torch.zeros_like(self.field.coefficients).index_put(tuple(place), values)

    def _orientation(
        self, trial: Trial, place: Tensor, values: Tensor, errors: Tensor
    ) -> Orientation:
        """From the divergences of the law's terms, at the states of the sample."""
        (terms, variables), z = place, self.sample.z
        values_of, columns = trial.noisy or self.field.theta, []
        for j, step in enumerate(torch.diag(1 / self.field.standardiser.std)):
            slope = jvp(values_of, (z,), (step.expand_as(z),))[1]
            columns.append(slope[:, terms] * (variables == j))
        each = torch.stack(columns).sum(0)
        return orientation(each @ values, errors @ each.mean(0))

    def _degree(self, full: Candidate) -> int:
        sizes = [len(columns) for columns in self.libraries]
        return self.field.degrees[sizes.index(len(full.columns))]

    def _row(self, full: Candidate, law: Candidate) -> dict[str, float]:
        return {
            "degree": self._degree(full),
            "unknowns": len(full.found.xi),
            "statistic": full.found.statistic / full.found.moments,
            "terms": len(law.found.support),
            "p_value": law.test.p_value,
            "effect_size": law.test.effect_size,
        }


def _singular(theta: Float[Tensor, "n terms"]) -> bool:
    theta = theta / theta.square().mean(0).sqrt()
    sizes = torch.linalg.eigvalsh(theta.T @ theta / len(theta))
    return bool(sizes[0] < SINGULAR * sizes[-1])


def _direction(law: Candidate, errors: Float[Tensor, "count support"]) -> float:
    """The cosine to the fit that 95 % of the bootstrap's fields reach."""
    xi, support = law.found.xi, law.found.support
    metric = law.form.metric[support][:, support]
    drawn = xi[support] + errors
    norms = ((drawn @ metric) * drawn).sum(1).sqrt() * (xi @ law.form.metric @ xi).sqrt()
    return float(((drawn @ metric @ xi[support]) / norms).quantile(0.05))
