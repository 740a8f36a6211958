"""Inference on selected equations: coefficients, their errors, orientation, where they lead.

Errors are those of the one-step bootstrap (method section 6).
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import jvp

from eqflow.discovery.bootstrap import draws, influence
from eqflow.discovery.candidates import Candidate, CandidateFitter
from eqflow.discovery.elimination import path
from eqflow.discovery.findings import Findings
from eqflow.discovery.gmm import Minimum
from eqflow.discovery.selection import Pair
from eqflow.discovery.spectrum import spectrum
from eqflow.discovery.symmetries import directions, not_orthogonal, orthogonal
from eqflow.fields import Library
from eqflow.runtime import Draws, generator
from eqflow.runtime.progress import doing
from eqflow.simulate import RK4, Integrator, Stable, bounding_radius, within_radius
from eqflow.stationarity import Orientation, orientation, rademacher

SIMULATED_STATES, SIMULATED_TIME = 200, 100.0
"""Held-out vectors that equations are simulated from, and for how many transit times."""


SIMULATED_IMAGES, SIMULATED_IMAGE_TIME = 16, 10.0
"""The same for images, whose simulation costs more."""


DIVERGENCE_IMAGES = 64
"""Number of images that a mean divergence is taken over."""


INTERVAL_QUANTILES = 0.025, 0.975
"""Quantiles of the bootstrap that bound the interval of a coefficient."""


@dataclass(frozen=True, eq=False)
class RawCoefficients:
    """Coefficients in raw units, bootstrap errors of them, and their ``place`` in a library's."""

    place: Int[Tensor, "2 support"]
    values: Float[Tensor, " support"]
    errors: Float[Tensor, "draws support"]


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
        candidate = fitter.refit_on_all(candidate)
    form, minimum = candidate.form, candidate.minimum
    errors = draws(influence(form, minimum), form.count, groups=fitter.groups(form), seed=seed)
    direction = _direction_cosine(candidate, errors)
    raw = _raw_coefficients(field, fitter, candidate, errors)
    sense = _orientation(field, fitter, raw, seed)
    values, errors = sense.sign * raw.values, sense.sign * raw.errors
    bounds = [values + errors.quantile(q, dim=0) for q in INTERVAL_QUANTILES]
    empty, place = torch.zeros_like(field.coefficients), tuple(raw.place)
    field.coefficients.copy_(empty.index_put(place, values))
    low, high = (empty.index_put(place, bound).tolist() for bound in bounds)
    return Findings(
        degree=_degree(field, full),
        degrees=[_row(field, *pair) for pair in pairs],
        path=[{"terms": len(s.support), "rise": s.rise} for s in path(full.form, full.minimum)],
        p_value=candidate.test.p_value,
        effect_size=candidate.test.effect_size,
        spectrum=fields.values,
        error=fields.error,
        dimension=fields.dimension if accepted else 0,
        gap=fields.gap,
        direction=direction,
        divergence=sense.sign * sense.divergence,
        divergence_error=sense.error,
        oriented=sense.determined,
        escaped=escaped(
            field, fitter.held_out.z[:SIMULATED_STATES], bounding_radius(fitter.sample.z)
        ),
        low=low,
        high=high,
        symmetries=symmetries,
        modulo_symmetries=bool(fitter.symmetries),
        **(_noise(fitter, candidate) if fitter.noisy else {}),
    )


@torch.no_grad()
def escaped(field: Library, z: Float[Tensor, "n *shape"], radius: float) -> float:
    """Share of standardised states ``z`` that are beyond ``radius`` after a simulation."""
    integrator: Integrator = RK4()
    time = SIMULATED_TIME
    if z.ndim == 4:
        integrator, time, z = Stable(), SIMULATED_IMAGE_TIME, z[:SIMULATED_IMAGES]
    end = integrator(field, z, torch.tensor([0.0, time]))[-1]
    return (~within_radius(end, radius)).double().mean().item()


def _raw_coefficients(
    field: Library,
    fitter: CandidateFitter,
    candidate: Candidate,
    errors: Float[Tensor, "draws support"],
) -> RawCoefficients:
    """Unknowns of a candidate, made orthogonal to the symmetries, in raw units."""
    form, minimum = candidate.form, candidate.minimum
    fields = _embedded(minimum, torch.cat([minimum.xi[minimum.support][None], errors]))
    symmetric = directions(fitter.symmetries, candidate.columns, form)
    if symmetric is not None:
        fields = orthogonal(form, fields, not_orthogonal(form, minimum.xi, symmetric))
    support = fields.any(dim=0).nonzero()[:, 0]
    rate = (field.standardiser.std.flatten() / form.rms[:, None]).flatten()
    raw = (fields * rate)[:, support]
    place = torch.stack([candidate.columns[support // form.dim], support % form.dim])
    return RawCoefficients(place, raw[0], raw[1:])


def _orientation(
    field: Library, fitter: CandidateFitter, raw: RawCoefficients, seed: int
) -> Orientation:
    divergences = _term_divergences(field, fitter, raw.place, seed)
    return orientation(divergences @ raw.values, raw.errors @ divergences.mean(0))


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


def _direction_cosine(candidate: Candidate, errors: Float[Tensor, "draws support"]) -> float:
    """Cosine to the fit that 95 % of the bootstrap's fields reach."""
    drawn = candidate.minimum.xi + _embedded(candidate.minimum, errors)
    return float(candidate.form.cosines(drawn, candidate.minimum.xi).quantile(0.05))


def _embedded(minimum: Minimum, values: Float[Tensor, "n support"]) -> Float[Tensor, "n unknowns"]:
    """Values of the unknowns of a support, with zeros for all others."""
    return values.new_zeros(len(values), len(minimum.xi)).index_copy(1, minimum.support, values)


def _noise(fitter: CandidateFitter, candidate: Candidate) -> dict[str, float]:
    """Size of the noise, and the cosine of the candidate to a fit without the correction."""
    assert fitter.noisy
    uncorrected = replace(fitter, noisy=None)
    blurred = uncorrected.eliminate(uncorrected.fit(candidate.columns)).unknowns(candidate.form)
    cosine = candidate.form.cosines(blurred[None], candidate.minimum.xi)
    sizes = dict.fromkeys(("noise_std", "noise_low", "noise_high"), fitter.noisy.noise_std)
    return sizes | {"blurred": min(1.0, float(cosine.abs()))}
