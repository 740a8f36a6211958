"""What is said of a law that was chosen: coefficients, their errors, orientation, how far it holds.

Errors are those of the one-step bootstrap (method section 6).
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import jvp

from eqflow.discovery.bootstrap import draws, influence
from eqflow.discovery.candidates import Candidate, Trial
from eqflow.discovery.elimination import path
from eqflow.discovery.findings import Findings
from eqflow.discovery.gmm import Minimum
from eqflow.discovery.spectrum import spectrum
from eqflow.discovery.symmetries import directions, orthogonal, turned
from eqflow.fields import Library
from eqflow.runtime import Draws, generator
from eqflow.simulate import RK4, Integrator, Stable, bounding_radius, within_radius
from eqflow.stationarity import Orientation, orientation, rademacher

STARTS = 200
"""Held-out states that a law is simulated from."""


HORIZON = 100.0
"""Transit times that it is simulated for."""


IMAGES, SHORT = 16, 10.0
"""The same for images, which cost more: how many, and transit times."""


TRACED = 64
"""Images that a mean divergence is taken over."""


CONFIDENCE = 0.025, 0.975
"""Quantiles of the bootstrap that bound a coefficient."""


@dataclass(frozen=True, eq=False)
class Coefficients:
    """Raw coefficients of a law, bootstrap errors of them, and their ``place`` in a field's."""

    place: Int[Tensor, "2 support"]
    values: Float[Tensor, " support"]
    errors: Float[Tensor, "draws support"]

    def signed(self, sign: float) -> "Coefficients":
        """Those of the law that runs the other way, for a negative sign."""
        return replace(self, values=sign * self.values, errors=sign * self.errors)

    def bounds(self) -> tuple[Float[Tensor, " support"], Float[Tensor, " support"]]:
        """Ends of the intervals that hold 95 % of the bootstrap."""
        low, high = (self.values + self.errors.quantile(q, dim=0) for q in CONFIDENCE)
        return low, high


def infer(
    field: Library,
    trial: Trial,
    tried: list[tuple[Candidate, Candidate]],
    symmetries: list[str],
    seed: int = 0,
) -> Findings:
    """Set the field's coefficients to those of the last law that was tried, and judge it.

    ``tried`` are libraries and what is left of them after elimination; ``symmetries`` the names of
    those that keep the distribution.
    """
    full, law = tried[-1]
    shape, accepted = spectrum(trial, law), law.accepted
    if accepted:
        law = trial.finished(law)
    form, found = law.form, law.found
    errors = draws(influence(form, found), form.count, groups=trial.groups(form), seed=seed)
    raw = _raw(field, trial, law, errors)
    sense = _orientation(field, trial, raw, seed)
    raw = raw.signed(sense.sign)

    def filled(values: Float[Tensor, " support"]) -> Float[Tensor, "terms dim"]:
        return torch.zeros_like(field.coefficients).index_put(tuple(raw.place), values)

    field.coefficients.copy_(filled(raw.values))
    low, high = (filled(bound).tolist() for bound in raw.bounds())
    return Findings(
        degree=_degree(field, full),
        degrees=[_row(field, *pair) for pair in tried],
        path=[{"terms": len(s.support), "rise": s.rise} for s in path(full.form, full.found)],
        p_value=law.test.p_value,
        effect_size=law.test.effect_size,
        spectrum=shape.values,
        error=shape.error,
        dimension=shape.dimension if accepted else 0,
        gap=shape.gap,
        direction=_direction(law, errors),
        divergence=sense.sign * sense.divergence,
        divergence_error=sense.error,
        oriented=sense.determined,
        escaped=escaped(field, trial.held_out.z[:STARTS], bounding_radius(trial.sample.z)),
        low=low,
        high=high,
        symmetries=symmetries,
        apart=bool(trial.symmetries),
        **(_noise(trial, law) if trial.noisy else {}),
    )


@torch.no_grad()
def escaped(field: Library, starts: Float[Tensor, "n *shape"], radius: float) -> float:
    """Share of states, standardised, that leave the data when a law is simulated."""
    images = starts.ndim == 4
    integrator: Integrator = Stable() if images else RK4()
    times = torch.tensor([0.0, SHORT if images else HORIZON])
    end = integrator(field, starts[:IMAGES] if images else starts, times)[-1]
    return (~within_radius(end, radius)).double().mean().item()


def _raw(
    field: Library, trial: Trial, law: Candidate, errors: Float[Tensor, "draws support"]
) -> Coefficients:
    """Unknowns of a law made orthogonal to the symmetries, in raw units."""
    form, found = law.form, law.found
    fields = _embedded(found, torch.cat([found.xi[found.support][None], errors]))
    moving = directions(trial.symmetries, law.columns, form)
    if moving is not None:
        fields = orthogonal(form, fields, turned(form, found.xi, moving))
    support = fields.any(dim=0).nonzero()[:, 0]
    rate = (field.standardiser.std.flatten() / form.rms[:, None]).flatten()
    raw = (fields * rate)[:, support]
    place = torch.stack([law.columns[support // form.dim], support % form.dim])
    return Coefficients(place, raw[0], raw[1:])


def _orientation(field: Library, trial: Trial, raw: Coefficients, seed: int) -> Orientation:
    """Whether states contract: from ``E div v`` of the law and of those of its bootstrap."""
    each = _term_divergences(field, trial, raw.place, seed)
    return orientation(each @ raw.values, raw.errors @ each.mean(0))


def _term_divergences(
    field: Library, trial: Trial, place: Int[Tensor, "2 support"], seed: int
) -> Float[Tensor, "n support"]:
    """``d theta_a / d z_j`` of every unknown's term ``a`` and variable ``j``, state by state.

    Of images it is the mean over places, with random signs: a place moves others too.
    """
    (terms, variables), z = place, trial.sample.z
    images = z.ndim == 4
    z = (z[:TRACED] if images else z).double()
    probe = rademacher(z[:, 0], generator(seed, Draws.PROBES)) if images else 1.0
    columns = []
    for j, step in enumerate(1 / field.standardiser.std.flatten()):
        direction = torch.zeros_like(z)
        direction[:, j] = step * probe
        slope = jvp(trial.noisy or field.theta, (z,), (direction,))[1].transpose(0, 1) * probe
        diagonal = slope.transpose(0, 1).reshape(len(z), len(slope), -1).mean(2)
        columns.append(diagonal[:, terms] * (variables == j))
    return torch.stack(columns).sum(0)


def _degree(field: Library, full: Candidate) -> int:
    sizes = [len(columns) for columns in field.columns]
    return field.degrees[sizes.index(len(full.columns))]


def _row(field: Library, full: Candidate, law: Candidate) -> dict[str, float]:
    return {
        "degree": _degree(field, full),
        "unknowns": len(full.found.support),
        "statistic": full.found.statistic / full.found.moments,
        "terms": len(law.found.support),
        "p_value": law.test.p_value,
        "effect_size": law.test.effect_size,
    }


def _direction(law: Candidate, errors: Float[Tensor, "draws support"]) -> float:
    """The cosine to the fit that 95 % of the bootstrap's fields reach."""
    drawn = law.found.xi + _embedded(law.found, errors)
    return float(_cosines(law, drawn).quantile(0.05))


def _embedded(found: Minimum, values: Float[Tensor, "n support"]) -> Float[Tensor, "n unknowns"]:
    """Values of the unknowns of a support as those of all."""
    return values.new_zeros(len(values), len(found.xi)).index_copy(1, found.support, values)


def _noise(trial: Trial, law: Candidate) -> dict[str, float]:
    """The size of the noise, and what taking no notice of it does to a law's direction."""
    assert trial.noisy
    plain = replace(trial, noisy=None)
    blurred = plain.sparse(plain.fit(law.columns))
    scale = (law.form.rms / blurred.form.rms).repeat_interleave(law.form.dim)
    size = trial.noisy.noise_std
    return {
        "noise_std": size,
        "noise_low": size,
        "noise_high": size,
        "blurred": min(1.0, float(_cosines(law, (blurred.found.xi * scale)[None]).abs())),
    }


def _cosines(law: Candidate, fields: Float[Tensor, "n unknowns"]) -> Float[Tensor, " n"]:
    """Cosines of fields, in the units of a law's unknowns, to that law."""
    xi, metric = law.found.xi, law.form.metric
    norms = ((fields @ metric) * fields).sum(1).sqrt() * (xi @ metric @ xi).sqrt()
    return fields @ metric @ xi / norms
