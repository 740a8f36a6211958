"""Whether equations keep the distribution when they are simulated (method section 6).

A law that passes the test of stationarity may still leave the snapshots, or drift away on them: the
test looks at a few moments of the velocity, a simulation adds its errors up.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric

from eqflow.data import random_half
from eqflow.fields import Library
from eqflow.metrics import (
    MMD2,
    PROFILES,
    Escaped,
    ProfileDistance,
    median_bandwidth,
    mmd2_splits,
    profile_splits,
)
from eqflow.runtime import Draws, generator
from eqflow.simulate import RK4, Integrator, Stable, within_radius

VECTORS, VECTOR_TIME = 500, 100.0
"""Most held-out vectors that are simulated, and for how many transit times."""


IMAGES, IMAGE_TIME = 16, 10.0
"""The same for images, whose simulation costs more."""


PARTS = 10
"""Number of parts of a simulation, after each of which it ends if no state is left."""


SPLITS = 200
"""Random halves of the held-out snapshots that the noise floor is taken over."""


DIFFERENCE = 1e-4
"""Step of central differences, in standard deviations."""


LONGEST_STEP = 0.1
"""Longest step of vectors, in transit times."""


STABLE_ANGLE = 0.5
"""Longest step times the largest rate of the linearised equations: well within RK4's stability."""


MOST_STEPS = 20_000
"""Number of steps at which stiff equations are given up."""


class Simulated(NamedTuple):
    """Where equations lead: what share of the states ``escaped``, and how far the rest drifts.

    ``drift`` is the distance of simulated from held-out states over the 95th percentile of that of
    two halves of held-out states: ``MMD^2`` of vectors, the larger of structure factor and
    histogram of images. ``time`` is in transit times.
    """

    escaped: float
    drift: float
    time: float


@torch.no_grad()
def simulated(
    field: Library,
    z: Float[Tensor, "n *shape"],
    radius: float,
    groups: Int[Tensor, " n"] | None = None,
    seed: int = 0,
) -> Simulated:
    """Simulate equations from half of the held-out states ``z``, and compare with the others.

    A state escapes beyond ``radius``. States of the same group are correlated.
    """
    images = z.ndim == 4
    n = min(IMAGES if images else VECTORS, len(z) // 2)
    time = IMAGE_TIME if images else VECTOR_TIME
    integrator: Integrator = Stable() if images else RK4(step(field, z[:n].double(), time))
    end = z[:n]
    for _ in range(PARTS):
        end = integrator(field, end, torch.tensor([0.0, time / PARTS]))[-1]
        if not within_radius(end, radius).any():  # nothing comes back
            break
    escaped = float(_value(Escaped(radius), end))
    draw = generator(seed, Draws.FLOOR)
    some = None if groups is None else groups[: 2 * n].cpu()
    first = torch.stack([random_half(2 * n, some, draw) for _ in range(SPLITS)], dim=1).to(z.device)
    drift = (_textures if images else _mmd2)(end, z[: 2 * n], first, radius)
    return Simulated(escaped, drift, time)


def step(field: Library, z: Float[Tensor, "n dim"], time: float) -> float:
    """Step of RK4 that follows the fastest rate of the equations linearised at the states ``z``."""
    steps = DIFFERENCE * torch.eye(z.shape[1]).to(z)
    slopes = [(field(z + e) - field(z - e)) / (2 * DIFFERENCE) for e in steps]
    jacobians = torch.stack(slopes, dim=2)
    finite = jacobians[jacobians.isfinite().flatten(1).all(1)]
    fastest = torch.linalg.eigvals(finite).abs().max().item() if len(finite) else 0.0
    return max(min(LONGEST_STEP, STABLE_ANGLE / max(fastest, 1e-9)), time / MOST_STEPS)


def _mmd2(end: Tensor, z: Tensor, first: Tensor, radius: float) -> float:
    bandwidth = 0.5 if z.shape[1] <= 3 else median_bandwidth(z)
    distance = _value(MMD2(radius, bandwidth), end, z[len(end) :])
    return float(distance / mmd2_splits(z, bandwidth, first).quantile(0.95))


def _textures(end: Tensor, z: Tensor, first: Tensor, radius: float) -> float:
    ratios = []
    for name in PROFILES:
        distance = _value(ProfileDistance(radius, name), end, z[len(end) :])
        ratios.append(distance / profile_splits(z, name, first).quantile(0.95))
    return float(torch.stack(ratios).nan_to_num(torch.inf).max())


def _value(metric: Metric, *states: Tensor) -> Tensor:
    """Value of a metric of states that the first process alone has."""
    metric = metric.to(states[0].device)
    metric.distributed_available_fn = lambda: False
    metric.update(*states)
    value: Tensor = metric.compute()
    return value
