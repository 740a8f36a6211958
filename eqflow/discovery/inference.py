"""Inference on selected equations: coefficients, their errors, orientation.

Errors are those of the bootstrap, in which terms are selected again (method section 6).
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import jvp

from eqflow.discovery.bootstrap import Resamples, resampled
from eqflow.discovery.candidates import Candidate, CandidateFitter
from eqflow.discovery.elimination import path
from eqflow.discovery.findings import Findings
from eqflow.discovery.selection import Pair
from eqflow.discovery.simulated import simulated
from eqflow.discovery.spectrum import spectrum
from eqflow.discovery.symmetries import directions, not_orthogonal, orthogonal
from eqflow.fields import Library
from eqflow.runtime import Draws, generator
from eqflow.runtime.progress import doing
from eqflow.simulate import bounding_radius
from eqflow.stationarity import Orientation, orientation, rademacher

DIVERGENCE_IMAGES = 64
"""Number of images that a mean divergence is taken over."""


INTERVAL_QUANTILES = 0.025, 0.975
"""Quantiles of the bootstrap that bound the interval of a coefficient."""


UNSURE_INCLUSION = 0.3
"""Share of the bootstrap samples that choose otherwise, above which a term is unsure."""


@dataclass(frozen=True, eq=False)
class RawCoefficients:
    """Coefficients in raw units, those of bootstrap samples, and their ``place`` in a library's.

    They are those of every term that a bootstrap sample holds. ``drawn`` are samples with terms
    selected again, ``whole`` those with all terms.
    """

    place: Int[Tensor, "2 support"]
    values: Float[Tensor, " support"]
    drawn: Float[Tensor, "draws support"]
    whole: Float[Tensor, "draws support"]

    @property
    def inclusion(self) -> Float[Tensor, " support"]:
        """Share of the bootstrap samples that kept each term."""
        return (self.drawn != 0).double().mean(0)

    @property
    def unsure(self) -> bool:
        """Whether many bootstrap samples choose other terms."""
        other = torch.where(self.values != 0, 1 - self.inclusion, self.inclusion)
        return bool((other > UNSURE_INCLUSION).any())

    @property
    def bounds(self) -> tuple[Float[Tensor, " support"], Float[Tensor, " support"]]:
        """Ends of the 95 % intervals, which hold the values.

        Where the choice of terms is unsure they hold the intervals of the library with all terms.
        """
        samples = [self.drawn, self.whole] if self.unsure else [self.drawn]
        low, high = (
            torch.stack([sample.quantile(q, dim=0) for sample in samples])
            for q in INTERVAL_QUANTILES
        )
        return low.amin(0).minimum(self.values), high.amax(0).maximum(self.values)

    def oriented(self, sign: int) -> "RawCoefficients":
        """The coefficients of the field times a sign."""
        values = (sign * part for part in (self.values, self.drawn, self.whole))
        return RawCoefficients(self.place, *values)


def infer(
    field: Library, fitter: CandidateFitter, pairs: list[Pair], symmetries: list[str], seed: int = 0
) -> Findings:
    """Set the coefficients of ``field`` to those of the last candidate, and infer what they tell.

    ``pairs`` are the full and the sparse candidates of the libraries that were fitted, the selected
    one last; ``symmetries`` are the names of those that keep the distribution.
    """
    full, candidate = pairs[-1]
    with doing("identifiability spectrum"):
        fields, accepted = spectrum(fitter, candidate), candidate.accepted
    if accepted:
        candidate = fitter.refit_on_all(full, candidate)
    with doing("bootstrap"):
        samples = _resampled(fitter, candidate, seed)
    raw = _raw_coefficients(field, fitter, candidate, samples)
    sense = _orientation(field, fitter, raw, seed)
    raw = raw.oriented(sense.sign)
    field.coefficients.copy_(_table(field, raw.place, raw.values))
    low, high = (_table(field, raw.place, bound).tolist() for bound in raw.bounds)
    with doing("simulation"):
        held_out, radius = fitter.held_out, bounding_radius(fitter.sample.z)
        end = simulated(field, held_out.z, radius, held_out.groups, seed)
    return Findings(
        degree=_degree(field, full),
        degrees=[_row(field, *pair) for pair in pairs],
        terms=int(field.coefficients.count_nonzero()),
        path=[{"terms": len(s.support), "rise": s.rise} for s in path(full.form, full.minimum)],
        p_value=candidate.test.p_value,
        effect_size=candidate.test.effect_size,
        spectrum=fields.values,
        error=fields.error,
        dimension=fields.dimension if accepted else 0,
        gap=fields.gap,
        direction=_direction_cosine(candidate, samples.selected),
        divergence=sense.sign * sense.divergence,
        divergence_error=sense.error,
        oriented=sense.determined,
        escaped=end.escaped,
        drift=end.drift,
        time=end.time,
        low=low,
        high=high,
        inclusion=_table(field, raw.place, raw.inclusion).tolist(),
        symmetries=symmetries,
        modulo_symmetries=bool(fitter.symmetries),
        **(_noise(fitter, candidate) if fitter.noisy else {}),
    )


def _resampled(fitter: CandidateFitter, candidate: Candidate, seed: int) -> Resamples:
    form, pivots = candidate.form, fitter.pivots(candidate.columns)
    some = pivots if len(pivots) else None
    bias = 0.0 if candidate.bias is None else candidate.bias
    return resampled(form, candidate.minimum, bias, some, fitter.groups(form), seed)


def _table(
    field: Library, place: Int[Tensor, "2 support"], values: Float[Tensor, " support"]
) -> Float[Tensor, "terms dim"]:
    """Values of coefficients at their place among all of a library, zero elsewhere."""
    return torch.zeros_like(field.coefficients).index_put(tuple(place), values)


def _raw_coefficients(
    field: Library, fitter: CandidateFitter, candidate: Candidate, samples: Resamples
) -> RawCoefficients:
    """Unknowns of a candidate, made orthogonal to the symmetries, in raw units."""
    form = candidate.form
    fields = torch.cat([candidate.xi[None], *samples])
    symmetric = directions(fitter.symmetries, candidate.columns, form)
    if symmetric is not None:
        fields = orthogonal(form, fields, not_orthogonal(form, candidate.xi, symmetric))
    support = fields.any(dim=0).nonzero()[:, 0]
    rate = (field.standardiser.std.flatten() / form.rms[:, None]).flatten()
    raw = (fields * rate)[:, support]
    place = torch.stack([candidate.columns[support // form.dim], support % form.dim])
    return RawCoefficients(place, raw[0], *raw[1:].split(len(samples.selected)))


def _orientation(
    field: Library, fitter: CandidateFitter, raw: RawCoefficients, seed: int
) -> Orientation:
    divergences = _term_divergences(field, fitter, raw.place, seed)
    return orientation(divergences @ raw.values, raw.drawn @ divergences.mean(0))


def _term_divergences(
    field: Library, fitter: CandidateFitter, place: Int[Tensor, "2 support"], seed: int
) -> Float[Tensor, "n support"]:
    """``d theta_a / d z_j`` at each state, for the term and the variable of every unknown.

    In images a place moves others too: there it is the mean over places, by Hutchinson's estimator.
    """
    (terms, variables), z = place, fitter.sample.z
    images = z.ndim == 4
    z = (z[:DIVERGENCE_IMAGES] if images else z).double()
    probe = rademacher(z[:, 0], generator(seed, Draws.PROBES)) if images else 1.0
    columns = []
    for j, step in enumerate(1 / field.standardiser.std.flatten()):
        direction = torch.zeros_like(z)
        direction[:, j] = step * probe
        slope = jvp(fitter.noisy or field.theta, (z,), (direction,))[1].transpose(0, 1) * probe
        diagonal = slope.transpose(0, 1).reshape(len(z), len(slope), -1).mean(2)
        columns.append(diagonal[:, terms] * (variables == j))
    return torch.stack(columns).sum(0)


def _degree(field: Library, full: Candidate) -> int:
    sizes = [len(columns) for columns in field.columns]
    return field.degrees[sizes.index(len(full.columns))]


def _row(field: Library, full: Candidate, sparse: Candidate) -> dict[str, float]:
    return {
        "degree": _degree(field, full),
        "unknowns": len(full.minimum.support),
        "statistic": full.minimum.statistic / full.minimum.moment_count,
        "terms": len(sparse.minimum.support),
        "p_value": sparse.test.p_value,
        "effect_size": sparse.test.effect_size,
    }


def _direction_cosine(candidate: Candidate, drawn: Float[Tensor, "draws unknowns"]) -> float:
    """Cosine to the fit that 95 % of the bootstrap's fields reach."""
    return float(candidate.form.cosines(drawn, candidate.xi).quantile(0.05))


def _noise(fitter: CandidateFitter, candidate: Candidate) -> dict[str, Any]:
    """Size of the noise, and the cosine of the candidate to a fit without the correction."""
    assert fitter.noisy
    uncorrected = replace(fitter, noisy=None)
    blurred = uncorrected.eliminate(uncorrected.fit(candidate.columns)).unknowns(candidate.form)
    cosine = candidate.form.cosines(blurred[None], candidate.xi)
    sizes = dict.fromkeys(("noise_std", "noise_low", "noise_high"), fitter.noisy.noise_std)
    return sizes | {"blurred": min(1.0, float(cosine.abs()))}
