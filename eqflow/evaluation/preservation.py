"""Preservation: simulated states against held-out ones, beside what resampling alone would read.

A field preserves a law if states that start from it are still distributed like it at any later
time. Distances between finite samples of one law are not zero: the floor is what random splits of
the held-out states read, the headline ``mmd2_ratio`` is ``MMD^2`` over the floor's 95th percentile.
"""

from functools import partial

import torch
from torch import Tensor
from torchmetrics import Metric

from eqflow.evaluation.protocol import Protocol
from eqflow.evaluation.states import held_out, noised
from eqflow.fields import VelocityField
from eqflow.groups import half
from eqflow.metrics import (
    MMD2,
    Escaped,
    SinkhornDivergence,
    SlicedW2,
    median_bandwidth,
    mmd2_splits,
    sinkhorn_divergence,
    sliced_w2,
)
from eqflow.processes import Stream, generator, normal, rows
from eqflow.score import Score
from eqflow.simulate import Integrator, reach
from eqflow.snapshots import Snapshots, remembered


def preservation(
    field: VelocityField,
    score: Score,
    snapshots: Snapshots,
    integrator: Integrator,
    sigma: float,
    protocol: Protocol,
) -> dict[str, float]:
    """Distance of simulated from held-out states at every horizon, beside the resampling floor."""
    starts, reference = held_out(snapshots, sigma, protocol)
    mine, radius = rows(len(starts)), escape_radius(snapshots, sigma)
    times = torch.tensor([0.0, *protocol.horizons], device=starts.device)

    def noise(step: int) -> Tensor:
        return normal(starts[mine], len(starts), protocol.seed, Stream.SIMULATION, step)

    used = integrator.limited(field.longest_step)
    path = used(field, starts[mine], times, partial(score, sigma=sigma), noise)
    at = dict(zip(protocol.horizons, path[1:], strict=True))

    def measure(metric: Metric, horizon: float) -> float:
        metric = metric.to(starts.device)
        states = (at[horizon],) if isinstance(metric, Escaped) else (at[horizon], reference[mine])
        metric.update(*states)
        return metric.compute().item()

    bandwidth = main_bandwidth(snapshots, sigma, protocol)
    floor = resampling_floor(snapshots, sigma, protocol)
    ratios = {h: measure(MMD2(radius, bandwidth), h) / floor["mmd2_floor95"] for h in at}
    head = protocol.headline
    numbers = {f"mmd2_ratio_h{h:g}": ratio for h, ratio in ratios.items()}
    numbers |= {f"escaped_h{h:g}": measure(Escaped(radius), h) for h in at}
    numbers |= {"mmd2_ratio": ratios[head], "escaped": numbers[f"escaped_h{head:g}"]}
    for name, h in bandwidths(snapshots, sigma, protocol).items():
        numbers[f"mmd2_{name}"] = measure(MMD2(radius, h), head)
    if protocol.transport:
        numbers["sw2"] = measure(SlicedW2(radius), head)
        numbers["sinkhorn"] = measure(SinkhornDivergence(radius), head)
    numbers |= floor | {"sigma": sigma}
    if used is not integrator:
        numbers["dt"] = field.longest_step  # shorter than what was asked for
    # transport is NaN when every state escaped
    return {f"preservation/{name}": value for name, value in numbers.items() if value == value}


@remembered
def resampling_floor(snapshots: Snapshots, sigma: float, protocol: Protocol) -> dict[str, float]:
    """What two samples of the same law read: mean and 95th percentile over random splits.

    Correlated states, those of one group, are on the same side, as they are in :func:`held_out`.
    """
    states = torch.cat(held_out(snapshots, sigma, protocol))
    labels = None if snapshots.test_groups is None else snapshots.test_groups[: len(states)].cpu()
    draw = generator(protocol.seed, Stream.FLOOR)
    firsts = [half(len(states), labels, draw).to(states.device) for _ in range(protocol.splits)]
    bandwidth = main_bandwidth(snapshots, sigma, protocol)
    null = {"mmd2": mmd2_splits(states, bandwidth, torch.stack(firsts, dim=1))}
    if protocol.transport:
        halves = [(states[first], states[~first]) for first in firsts]
        null["sw2"] = torch.stack([sliced_w2(x, y) for x, y in halves])
        few = [(x[:256], y[:256]) for x, y in halves[:50]]
        null["sinkhorn"] = torch.stack([sinkhorn_divergence(x, y) for x, y in few])
    return {f"{name}_floor": draws.mean().item() for name, draws in null.items()} | {
        f"{name}_floor95": draws.quantile(0.95).item() for name, draws in null.items()
    }


@remembered
def escape_radius(snapshots: Snapshots, sigma: float) -> float:
    """Beyond which states have left the training states at the level the field lives at."""
    return reach(noised(snapshots.train, sigma, 0, Stream.NORMALISATION))


@remembered
def bandwidths(snapshots: Snapshots, sigma: float, protocol: Protocol) -> dict[str, float]:
    """RBF bandwidths by the suffix of the measure that uses them."""
    return {"rbf05": 0.5, "median": median_bandwidth(held_out(snapshots, sigma, protocol)[1])}


def main_bandwidth(snapshots: Snapshots, sigma: float, protocol: Protocol) -> float:
    """0.5 up to three dimensions, the median heuristic beyond."""
    low = snapshots.test[0].numel() <= 3
    return bandwidths(snapshots, sigma, protocol)["rbf05" if low else "median"]
