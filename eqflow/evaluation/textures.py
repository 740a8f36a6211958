"""Textures: power at every scale and values of pixels after a long simulation.

Both in units of what resampling alone reads: up to 1 the simulated images cannot be told from
others of the same law by their structure factor, or by their one-point histogram.
"""

import torch
from torch import Tensor

from eqflow.data import Snapshots, remembered
from eqflow.evaluation.preservation import escape_radius, halves
from eqflow.evaluation.protocol import Protocol
from eqflow.evaluation.states import Path, held_out
from eqflow.metrics import PROFILES, ProfileDistance, profile_splits
from eqflow.runtime import rows


def textures(
    path: Path, snapshots: Snapshots, sigma: float, protocol: Protocol
) -> dict[str, float]:
    """Distance of structure factor and histogram after the last horizon, over its floor."""
    states, floor = path[max(path)], texture_floor(snapshots, sigma, protocol)
    numbers = dict(floor)
    for name in PROFILES:
        distance = _distance(name, states, snapshots, sigma, protocol)
        numbers[f"{name}_ratio"] = distance / floor[f"{name}_floor95"]
    # not a number when every state escaped
    return {f"fields/{name}": value for name, value in numbers.items() if value == value}


def _distance(
    name: str, states: Tensor, snapshots: Snapshots, sigma: float, protocol: Protocol
) -> float:
    reference = held_out(snapshots, sigma, protocol)[1]
    metric = ProfileDistance(escape_radius(snapshots, sigma), name).to(states.device)
    metric.update(states, reference[rows(len(reference))])
    return metric.compute().item()


@remembered
def texture_floor(snapshots: Snapshots, sigma: float, protocol: Protocol) -> dict[str, float]:
    """95th percentile of either distance over random splits of the held-out states."""
    states = torch.cat(held_out(snapshots, sigma, protocol))
    first = halves(snapshots, states, protocol)
    return {
        f"{name}_floor95": profile_splits(states, name, first).quantile(0.95).item()
        for name in PROFILES
    }
