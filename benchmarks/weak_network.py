"""A network trained by the weak form on Lorenz-63: does it find the field, and stay alone?

    python benchmarks/weak_network.py
    python benchmarks/weak_network.py --smoothness 0 0.001 0.01 0.1 1 --seeds 3 4 5   # the path

`flow=network flow.condition=weak` at its defaults, or with the weights `--smoothness`, on 24,000
clean snapshots, a fresh data set and network a seed. A row a seed: |cos| and the signed cosine to
the true velocity at 2,000 held-out states after orientation, the mean divergence, the roughness
that the penalty weighs, the effect size of the stationarity test on held-out states, the share of
1,000 trajectories lost (non-finite, or norm above twice the training maximum) at any whole transit
time up to 100 without noise, the CPU seconds of training. Mean, spread and range of every column
below.
"""

from functools import partial
from typing import Any, NamedTuple

import harness
import torch
from omegaconf import OmegaConf

from data_modules import Lorenz
from eqflow.data import Snapshots
from eqflow.evaluation import Protocol, Reference
from eqflow.evaluation.residuals import stationarity
from eqflow.fields import VelocityField, build_field
from eqflow.score import EmpiricalScore
from eqflow.simulate import RK4, within_radius
from eqflow.training import CONDITIONS, Batch, WeakModule, flow_module

STATES = 24_000
HORIZON = 100


class Row(NamedTuple):
    """What a seed gives."""

    cosine: float
    signed: float
    divergence: float
    roughness: float
    effect: float
    lost: float
    seconds: float


def trained(snapshots: Snapshots, flow: Any, seed: int) -> WeakModule:
    """The flow stage at its end, as a run would make it."""
    z, score = snapshots.train, EmpiricalScore(snapshots.train)
    field = build_field("network", snapshots.shape, score, flow.sigma, seed, **flow.field)
    options = {name: flow[name] for name in CONDITIONS["weak"]}
    module = flow_module(field, score, z, condition="weak", seed=seed, **options, **flow.training)
    harness.fit(module, z, seed)
    field.requires_grad_(False).normalise_([z])
    return module


def lost(field: VelocityField, snapshots: Snapshots) -> float:
    """Share of trajectories that leave the data within the horizon, simulated alone."""
    times = torch.arange(HORIZON + 1).double()
    path = RK4()(field, snapshots.test[:1000], times)
    radius = Reference(snapshots, 0.0, Protocol()).radius
    stays = torch.stack([within_radius(x, radius) for x in path]).all(0)
    return 1 - stays.double().mean().item()


def measure(flow: Any, seed: int) -> Row:
    """Train on fresh data and compare with the truth."""
    snapshots = harness.prepared(Lorenz(n=STATES, seed=seed))
    module, seconds = harness.timed(partial(trained, snapshots, flow, seed))
    field, x = module.field, snapshots.test
    tested = stationarity(field, Reference(snapshots, 0.0, Protocol(seed=seed)))
    *_, speed, roughness = module.moments(Batch(x, len(x)), step=0)
    v, divergence = field.value_and_divergence(x)
    signed = harness.cosine(v, snapshots.velocity(x))
    return Row(
        cosine=abs(signed),
        signed=signed,
        divergence=divergence.mean().item(),
        roughness=(roughness / speed).item(),
        effect=tested["stationarity/effect_size"],
        lost=lost(field, snapshots),
        seconds=seconds,
    )


def summary(rows: list[Row]) -> None:
    """Mean, standard deviation and range over seeds."""
    table = torch.tensor(rows).double()
    show("mean", table.mean(0).tolist())
    show("std", (table.std(0) if len(rows) > 1 else torch.zeros_like(table[0])).tolist())
    show("min", table.amin(0).tolist())
    show("max", table.amax(0).tolist())


def show(name: object, values: list[float]) -> None:
    print(f"{name!s:>5}" + "".join(f"{value:11.3f}" for value in values), flush=True)


if __name__ == "__main__":
    asked = harness.options(__doc__, seeds=[*range(10)], smoothness=[float], threads=1)
    flow = OmegaConf.load(harness.ROOT / "conf" / "flow" / "network.yaml")
    for smoothness in asked.smoothness or [flow.smoothness]:
        flow.smoothness = smoothness
        print(f"smoothness {smoothness:g}")
        print(" seed" + "".join(f"{name:>11}" for name in Row._fields))
        rows = []
        for seed in asked.seeds:
            rows.append(measure(flow, seed))
            show(seed, list(rows[-1]))
        summary(rows)
