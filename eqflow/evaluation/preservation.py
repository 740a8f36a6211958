"""Preservation: simulated states against held-out ones, beside what resampling alone reads.

A field preserves a distribution if states drawn from it are still distributed alike at any later
time. The headline ``mmd2_ratio`` is ``MMD^2`` over the 95th percentile of its resampling floor.
"""

from functools import partial

import torch
from torch import Tensor
from torchmetrics import Metric

from eqflow.evaluation.reference import Reference
from eqflow.fields import VelocityField
from eqflow.metrics import MMD2, PROFILES, Escaped, ProfileDistance, SinkhornDivergence, SlicedW2
from eqflow.runtime import Draws, normal, rows
from eqflow.score import Score
from eqflow.simulate import Integrator

Path = dict[float, Tensor]
"""Transit times -> the simulated states that this process holds."""


def simulated(
    field: VelocityField, score: Score | None, reference: Reference, integrator: Integrator
) -> Path:
    """States after every horizon of the protocol, this process's rows of them.

    An ODE needs no ``score``.
    """
    initial, protocol = reference.initial, reference.protocol
    mine = initial[rows(len(initial))]
    times = torch.tensor([0.0, *protocol.horizons], device=initial.device)

    def noise(step: int) -> Tensor:
        return normal(mine, len(initial), protocol.seed, Draws.SIMULATION, step)

    used = integrator.limited(field.longest_step)
    restoring = None if score is None else partial(score, sigma=reference.sigma)
    path = used(field, mine, times, restoring, noise)
    return dict(zip(protocol.horizons, path[1:], strict=True))


def preservation(
    field: VelocityField, score: Score | None, reference: Reference, integrator: Integrator
) -> dict[str, float]:
    """Distance of simulated from held-out states at every horizon, beside the resampling floor."""
    return distances(simulated(field, score, reference, integrator), reference) | shortened(
        field, integrator
    )


def shortened(field: VelocityField, integrator: Integrator) -> dict[str, float]:
    """The time step, where the field needs a shorter one than the integrator was given."""
    longest = field.longest_step
    return {"preservation/dt": longest} if integrator.dt and integrator.dt > longest else {}


def distances(path: Path, reference: Reference) -> dict[str, float]:
    """Preservation measures of simulated states (method section 8)."""
    radius, floor, head = reference.radius, reference.floor, reference.protocol.headline
    mmd2 = {h: _measure(MMD2(radius, reference.bandwidth), path, h, reference) for h in path}
    ratios = {h: value / floor["mmd2_floor95"] for h, value in mmd2.items()}
    numbers = {f"mmd2_ratio_h{h:g}": ratio for h, ratio in ratios.items()}
    numbers |= {f"escaped_h{h:g}": _measure(Escaped(radius), path, h, reference) for h in path}
    numbers |= {"mmd2_ratio": ratios[head], "escaped": numbers[f"escaped_h{head:g}"]}
    for name, bandwidth in reference.bandwidths.items():
        numbers[f"mmd2_{name}"] = _measure(MMD2(radius, bandwidth), path, head, reference)
    if reference.protocol.transport:
        numbers["sw2"] = _measure(SlicedW2(radius), path, head, reference)
    if reference.entropic:
        numbers["sinkhorn"] = _measure(SinkhornDivergence(radius), path, head, reference)
    return _named("preservation", numbers | floor | {"sigma": reference.sigma})


def textures(path: Path, reference: Reference) -> dict[str, float]:
    """Structure factor and histogram of images after the last horizon, over their floors.

    Up to 1, simulated images cannot be told from others of the same distribution by either.
    """
    last, floor = max(path), reference.profile_floor
    numbers = {
        f"{name}_ratio": _measure(ProfileDistance(reference.radius, name), path, last, reference)
        / floor[f"{name}_floor95"]
        for name in PROFILES
    }
    return _named("fields", floor | numbers)


def _measure(metric: Metric, path: Path, horizon: float, reference: Reference) -> float:
    """A metric of the simulated states of all processes after ``horizon`` transit times."""
    mine = reference.held_out[rows(len(reference.held_out))]
    metric = metric.to(mine.device)
    states = (path[horizon],) if isinstance(metric, Escaped) else (path[horizon], mine)
    metric.update(*states)
    return metric.compute().item()


def _named(prefix: str, numbers: dict[str, float]) -> dict[str, float]:
    """Numbers under their names; NaN, where every state escaped, is left out."""
    return {f"{prefix}/{name}": value for name, value in numbers.items() if value == value}
