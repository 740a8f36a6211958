"""Chaos: Lyapunov exponents of a field, and of the true system beside it (method section 8).

In inverse transit times. A field that keeps a smooth density has exponents that sum to zero: only
one of the snapshots themselves can have the contraction of the truth.
"""

import torch
from torch import Tensor

from eqflow.data import Snapshots, remembered
from eqflow.evaluation.preservation import escape_radius
from eqflow.evaluation.protocol import FULL, Protocol
from eqflow.evaluation.states import held_out, spread_out
from eqflow.fields import Ensemble, VelocityField
from eqflow.metrics import Growth, LyapunovSpectrum, growth, kaplan_yorke
from eqflow.runtime import rows
from eqflow.simulate import Integrator

DIMENSIONS = 10
"""Dimensions up to which exponents are measured: each is one derivative more."""


TRANSIENT, DURATION = 20.0, 100.0
"""Transit times in which states and tangents settle, and over which exponents are taken."""


def chaos(
    field: VelocityField,
    snapshots: Snapshots,
    integrator: Integrator,
    sigma: float,
    protocol: Protocol,
) -> dict[str, float]:
    """Exponents, their sum, dimension and share of chaotic trajectories; the truth's likewise.

    Of vectors of a few dimensions. The field acts alone, without noise: the chaos is its own.
    Raises ``InputError`` for a field that cannot be differentiated.
    """
    if not measurable(field, protocol):
        return {}
    dt = step(integrator)
    numbers = _numbers("chaos", field_growth(snapshots, field, sigma, protocol, dt))
    truth = true_growth(snapshots, dt)
    return numbers | (_numbers("truth/chaos", truth) if truth else {})


def measurable(field: VelocityField, protocol: Protocol) -> bool:
    """Whether exponents are asked for, of vectors of a few dimensions."""
    return bool(protocol.chaos) and len(field.shape) == 1 and field.dim <= DIMENSIONS


def member_chaos(
    ensemble: Ensemble,
    snapshots: Snapshots,
    integrator: Integrator,
    sigma: float,
    protocol: Protocol,
) -> list[dict[str, float]]:
    """The same numbers of every member, whose trajectories are simulated side by side."""
    if not measurable(ensemble, protocol):
        return [{} for _ in range(len(ensemble))]
    starts = spread_out(held_out(snapshots, sigma, protocol)[0], protocol.chaos)

    def each(x: Tensor) -> Tensor:
        times = x.unflatten(0, (-1, len(ensemble), len(starts))).transpose(0, 1)
        v = ensemble.at_own_states(times.flatten(1, 2))
        return v.view_as(times).transpose(0, 1).reshape(x.shape)

    radius, dt = escape_radius(snapshots, sigma), min(step(integrator), ensemble.longest_step)
    found = growth(each, starts.repeat(len(ensemble), 1), DURATION, TRANSIENT, dt, radius)
    return [_numbers("chaos", one) for one in found.split(len(starts))]


def step(integrator: Integrator) -> float:
    """That of the integrator, or of its default where it finds its own."""
    return getattr(integrator, "dt", 0.05)


@remembered
def field_growth(
    snapshots: Snapshots, field: VelocityField, sigma: float, protocol: Protocol, dt: float
) -> Growth:
    """Growth of tangents along ``protocol.chaos`` trajectories from held-out states.

    Each process has its own of them.
    """
    starts = spread_out(held_out(snapshots, sigma, protocol)[0], protocol.chaos)
    radius, dt = escape_radius(snapshots, sigma), min(dt, field.longest_step)
    return growth(field, starts[rows(len(starts))], DURATION, TRANSIENT, dt, radius)


@remembered
def true_growth(snapshots: Snapshots, dt: float) -> Growth | None:
    """The same of the true system, if known, from clean states and at unit speed over them."""
    velocity = snapshots.velocity
    if velocity is None:
        return None
    unit = velocity(snapshots.train).square().mean().rsqrt()
    starts, radius = spread_out(snapshots.test, FULL.chaos), escape_radius(snapshots, 0.0)
    mine = starts[rows(len(starts))]
    return growth(lambda x: unit * velocity(x), mine, DURATION, TRANSIENT, dt, radius)


def _numbers(prefix: str, found: Growth) -> dict[str, float]:
    metric = LyapunovSpectrum().to(found.rates.device)
    metric.update(found)
    spectrum = metric.compute()
    exponents, errors = spectrum["exponents"], spectrum["errors"]
    numbers = {name: spectrum[name] for name in ("chaotic", "positive", "escaped", "transit_time")}
    numbers |= {
        "lyapunov_max": exponents[0],
        "lyapunov_max_error": errors[0],
        "lyapunov_sum": exponents.sum(),
        "lyapunov_ratio": exponents[0] / exponents[-1].abs(),
    }
    for k in range(1, len(exponents)):
        numbers |= {f"lyapunov_{k + 1}": exponents[k], f"lyapunov_{k + 1}_error": errors[k]}
    # what is within its error of zero is zero: a dimension jumps with the sign of the first
    told = torch.where(exponents.abs() <= 2 * errors, 0, exponents)
    values = {name: value.item() for name, value in numbers.items()}
    if exponents.isfinite().all():
        values["kaplan_yorke"] = kaplan_yorke(told)
    # NaN where all trajectories escaped
    return {f"{prefix}/{name}": value for name, value in values.items() if value == value}
