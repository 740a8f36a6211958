"""Chaos: Lyapunov exponents of a field, and of the true system beside it (method section 8).

In inverse transit times. A field that keeps a smooth density has exponents that sum to zero: only
a field of the snapshots themselves can have the contraction of the truth.
"""

from functools import lru_cache

import torch
from torch import Tensor

from eqflow.evaluation.protocol import FULL, Protocol
from eqflow.evaluation.reference import Reference, spread_out
from eqflow.fields import Ensemble, VelocityField
from eqflow.metrics import Growth, LyapunovSpectrum, growth, kaplan_yorke
from eqflow.runtime import rows
from eqflow.simulate import Integrator

CHAOS_DIMENSIONS = 10
"""Dimensions up to which exponents are measured: each is one derivative more."""

DEFAULT_STEP = 0.05
"""Time step of the tangent vectors, in transit times, where the integrator finds its own."""


def chaos(field: VelocityField, reference: Reference, integrator: Integrator) -> dict[str, float]:
    """Exponents, their sum, dimension and the share of chaotic trajectories.

    Of vectors of a few dimensions. The field acts alone, without noise: the chaos is its own.
    Raises ``InputError`` for a field that cannot be differentiated.
    """
    if not measurable(field, reference.protocol):
        return {}
    growths = reference.growths
    growths[field] = field_growth(field, reference, step(integrator))
    return _numbers("chaos", growths[field])


def measurable(field: VelocityField, protocol: Protocol) -> bool:
    """Whether exponents are asked for, of vectors of a few dimensions."""
    return bool(protocol.chaos) and len(field.shape) == 1 and field.dim <= CHAOS_DIMENSIONS


def true_chaos(reference: Reference, integrator: Integrator) -> dict[str, float]:
    """The same numbers of the true system, where it is known, as ``truth/chaos/...``."""
    truth = true_growth(reference, step(integrator))
    return _numbers("truth/chaos", truth) if truth else {}


def member_chaos(
    ensemble: Ensemble, reference: Reference, integrator: Integrator
) -> list[dict[str, float]]:
    """The same numbers of every member, whose trajectories are simulated side by side."""
    protocol = reference.protocol
    if not measurable(ensemble, protocol):
        return [{} for _ in range(len(ensemble))]
    starts = spread_out(reference.initial, protocol.chaos)

    def members(x: Tensor) -> Tensor:
        times = x.unflatten(0, (-1, len(ensemble), len(starts))).transpose(0, 1)
        v = ensemble.at_own_states(times.flatten(1, 2))
        return v.view_as(times).transpose(0, 1).reshape(x.shape)

    x0, dt = starts.repeat(len(ensemble), 1), min(step(integrator), ensemble.longest_step)
    times = protocol.chaos_duration, protocol.chaos_transient
    rates = growth(members, x0, *times, dt, reference.radius)
    return [_numbers("chaos", member) for member in rates.split(len(starts))]


def step(integrator: Integrator) -> float:
    """Time step in transit times: that of the integrator, or ``DEFAULT_STEP``."""
    return integrator.dt or DEFAULT_STEP


def field_growth(field: VelocityField, reference: Reference, dt: float) -> Growth:
    """Growth of tangents along ``protocol.chaos`` trajectories from held-out states.

    Each process has its own of them.
    """
    protocol = reference.protocol
    starts = spread_out(reference.initial, protocol.chaos)
    mine, dt = starts[rows(len(starts))], min(dt, field.longest_step)
    times = protocol.chaos_duration, protocol.chaos_transient
    return growth(field, mine, *times, dt, reference.radius)


@lru_cache(maxsize=16)
def true_growth(reference: Reference, dt: float) -> Growth | None:
    """The same of the true system, if known, from clean states and at unit speed over them."""
    snapshots, protocol = reference.snapshots, reference.protocol
    velocity = snapshots.velocity
    if velocity is None:
        return None
    unit = velocity(snapshots.train).square().mean().rsqrt()
    starts = spread_out(snapshots.test, FULL.chaos)
    mine, radius = starts[rows(len(starts))], Reference(snapshots, 0.0, protocol).radius
    times = protocol.chaos_duration, protocol.chaos_transient
    return growth(lambda x: unit * velocity(x), mine, *times, dt, radius)


def _numbers(prefix: str, rates: Growth) -> dict[str, float]:
    metric = LyapunovSpectrum().to(rates.rates.device)
    metric.update(rates)
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
    # an exponent within its error of zero is zero: a dimension jumps with the sign of the first
    distinct = torch.where(exponents.abs() <= 2 * errors, 0, exponents)
    values = {name: value.item() for name, value in numbers.items()}
    if exponents.isfinite().all():
        values["kaplan_yorke"] = kaplan_yorke(distinct)
    # NaN where all trajectories escaped
    return {f"{prefix}/{name}": value for name, value in values.items() if value == value}
