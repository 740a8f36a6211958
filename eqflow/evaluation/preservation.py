"""Preservation: simulated states against held-out ones, beside what resampling alone would read.

A field preserves a law if states that start from it are still distributed like it at any later
time. Distances between finite samples of one law are not zero: the floor is what random splits of
the held-out states read, the headline ``mmd2_ratio`` is ``MMD^2`` over the floor's 95th percentile.
"""

import torch
from jaxtyping import Bool
from torch import Tensor
from torchmetrics import Metric

from eqflow.data import Snapshots, random_half, remembered
from eqflow.evaluation.protocol import Protocol
from eqflow.evaluation.states import Path, held_out, noised, simulated
from eqflow.fields import VelocityField
from eqflow.metrics import (
    MMD2,
    Escaped,
    SinkhornDivergence,
    SlicedW2,
    median_bandwidth,
    mmd2_splits,
    sinkhorn_divergence,
    sliced_w2_splits,
)
from eqflow.runtime import Draws, generator, rows
from eqflow.score import Score
from eqflow.simulate import Integrator, bounding_radius


def preservation(
    field: VelocityField,
    score: Score,
    snapshots: Snapshots,
    integrator: Integrator,
    sigma: float,
    protocol: Protocol,
) -> dict[str, float]:
    """Distance of simulated from held-out states at every horizon, beside the resampling floor."""
    path = simulated(field, score, snapshots, integrator, sigma, protocol)
    numbers = distances(path, snapshots, sigma, protocol)
    return numbers | shortened(field, integrator)


def shortened(field: VelocityField, integrator: Integrator) -> dict[str, float]:
    """The time step, where the field wants a shorter one than the integrator was given."""
    longest = field.longest_step
    return {"preservation/dt": longest} if getattr(integrator, "dt", 0.0) > longest else {}


def distances(
    path: Path, snapshots: Snapshots, sigma: float, protocol: Protocol
) -> dict[str, float]:
    """The same of states that were simulated before."""
    reference, radius = held_out(snapshots, sigma, protocol)[1], escape_radius(snapshots, sigma)
    mine = reference[rows(len(reference))]

    def measure(metric: Metric, horizon: float) -> float:
        metric = metric.to(mine.device)
        states = (path[horizon],) if isinstance(metric, Escaped) else (path[horizon], mine)
        metric.update(*states)
        return metric.compute().item()

    bandwidth = main_bandwidth(snapshots, sigma, protocol)
    floor = resampling_floor(snapshots, sigma, protocol)
    ratios = {h: measure(MMD2(radius, bandwidth), h) / floor["mmd2_floor95"] for h in path}
    head = protocol.headline
    numbers = {f"mmd2_ratio_h{h:g}": ratio for h, ratio in ratios.items()}
    numbers |= {f"escaped_h{h:g}": measure(Escaped(radius), h) for h in path}
    numbers |= {"mmd2_ratio": ratios[head], "escaped": numbers[f"escaped_h{head:g}"]}
    for name, h in bandwidths(snapshots, sigma, protocol).items():
        numbers[f"mmd2_{name}"] = measure(MMD2(radius, h), head)
    if protocol.transport:
        numbers["sw2"] = measure(SlicedW2(radius), head)
        if _entropic(snapshots):
            numbers["sinkhorn"] = measure(SinkhornDivergence(radius), head)
    numbers |= floor | {"sigma": sigma}
    # transport is NaN when every state escaped
    return {f"preservation/{name}": value for name, value in numbers.items() if value == value}


@remembered
def resampling_floor(snapshots: Snapshots, sigma: float, protocol: Protocol) -> dict[str, float]:
    """What two samples of the same law read: mean and 95th percentile over random splits."""
    states = torch.cat(held_out(snapshots, sigma, protocol))
    firsts = halves(snapshots, states, protocol)
    null = {"mmd2": mmd2_splits(states, main_bandwidth(snapshots, sigma, protocol), firsts)}
    if protocol.transport:
        null["sw2"] = sliced_w2_splits(states, firsts)
    if protocol.transport and _entropic(snapshots):
        few = [(states[first][:256], states[~first][:256]) for first in firsts.T[:50]]
        null["sinkhorn"] = torch.stack([sinkhorn_divergence(x, y) for x, y in few])
    return {f"{name}_floor": draws.mean().item() for name, draws in null.items()} | {
        f"{name}_floor95": draws.quantile(0.95).item() for name, draws in null.items()
    }


def halves(
    snapshots: Snapshots, states: Tensor, protocol: Protocol
) -> Bool[Tensor, "two_n splits"]:
    """The first halves of random splits of all held-out states, one column for each.

    Correlated states, those of one group, are on the same side, as they are in :func:`held_out`.
    """
    groups = None if snapshots.test_groups is None else snapshots.test_groups[: len(states)].cpu()
    draw = generator(protocol.seed, Draws.FLOOR)
    firsts = [random_half(len(states), groups, draw) for _ in range(protocol.splits)]
    return torch.stack(firsts, dim=1).to(states.device)


@remembered
def escape_radius(snapshots: Snapshots, sigma: float) -> float:
    """Beyond which states have left the training states at the level the field lives at."""
    return bounding_radius(noised(snapshots.train, sigma, 0, Draws.NORMALISATION))


@remembered
def bandwidths(snapshots: Snapshots, sigma: float, protocol: Protocol) -> dict[str, float]:
    """RBF bandwidths by the suffix of the measure that uses them."""
    median = {"median": median_bandwidth(held_out(snapshots, sigma, protocol)[1])}
    # between images, which are tens apart, a kernel of 0.5 is zero
    return ({"rbf05": 0.5} if len(snapshots.shape) == 1 else {}) | median


def main_bandwidth(snapshots: Snapshots, sigma: float, protocol: Protocol) -> float:
    """0.5 up to three dimensions, the median heuristic beyond."""
    low = snapshots.test[0].numel() <= 3
    return bandwidths(snapshots, sigma, protocol)["rbf05" if low else "median"]


def _entropic(snapshots: Snapshots) -> bool:
    """Whether Sinkhorn is taken: among images its entropy is too small for it to converge."""
    return len(snapshots.shape) == 1
