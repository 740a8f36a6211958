"""A network trained by the weak form on Lorenz-63: does it find the field, and stay alone?

    python benchmarks/weak_network.py
    python benchmarks/weak_network.py --smoothness 0 0.001 0.01 0.1 1 --seeds 3 4 5   # the path

`flow=network flow.condition=weak` at its defaults on 24,000 clean snapshots, a fresh data set and
network a seed. A row a seed: |cos| and the signed cosine to the true velocity at 2,000 held-out
states after orientation, the mean divergence, the roughness that the penalty weighs, the effect
size of the stationarity test on held-out states, the share of 1,000 trajectories lost (non-finite,
or norm above twice the training maximum) at any whole transit time up to 100 without noise, the
CPU seconds of training. Mean, spread and range of every column below.
"""

import argparse
import logging
import os
import sys
import time
import warnings
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

import torch  # noqa: E402
from omegaconf import DictConfig, OmegaConf  # noqa: E402
from torch import Tensor  # noqa: E402

from data_modules import Lorenz  # noqa: E402
from eqflow.evaluation import Protocol, escape_radius, stationarity  # noqa: E402
from eqflow.fields import Network, VelocityField, build_field  # noqa: E402
from eqflow.score import EmpiricalScore  # noqa: E402
from eqflow.simulate import RK4, inside  # noqa: E402
from eqflow.snapshots import Snapshots  # noqa: E402
from eqflow.training import CONDITIONS, Batch, WeakModule, flow_module, quiet_trainer, train_loader  # noqa: E402

CONF = ROOT / "conf"
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


def trained(snapshots: Snapshots, flow: DictConfig, batch_size: int, seed: int) -> WeakModule:
    """The flow stage at its end, as a run would make it."""
    z, score = snapshots.train, EmpiricalScore(snapshots.train)
    field = build_field("network", snapshots.shape, score, flow.sigma, seed, **flow.field)
    assert isinstance(field, Network)
    options = {name: flow[name] for name in CONDITIONS["weak"]}
    module = flow_module(field, score, z, condition="weak", seed=seed, **options, **flow.training)
    trainer = quiet_trainer(module.steps, accelerator="cpu")
    trainer.fit(module, train_loader(z, batch_size, 500, seed))
    assert isinstance(module, WeakModule)
    field.requires_grad_(False).normalise_([z])
    return module


def lost(field: VelocityField, snapshots: Snapshots) -> float:
    """Share of trajectories that leave the data within the horizon, simulated alone."""
    times = torch.arange(HORIZON + 1).double()
    path = RK4()(field, snapshots.test[:1000], times)
    radius = escape_radius(snapshots, 0.0)
    stays = torch.stack([within_radius(x, radius) for x in path]).all(0)
    return 1 - stays.double().mean().item()


def cosine(v: Tensor, w: Tensor) -> float:
    return ((v * w).sum() / (v.norm() * w.norm())).item()


def measure(flow: DictConfig, batch_size: int, seed: int) -> Row:
    data = Lorenz(n=STATES, seed=seed)
    data.setup()
    snapshots = data.snapshots
    assert snapshots.velocity is not None
    started = time.process_time()
    module = trained(snapshots, flow, batch_size, seed)
    seconds, field = time.process_time() - started, module.field
    *_, speed, roughness = module.moments(Batch(snapshots.test, len(snapshots.test)), step=0)
    test = stationarity(field, snapshots, 0.0, Protocol(seed=seed))
    v, divergence = field.value_and_divergence(snapshots.test)
    signed = cosine(v, snapshots.velocity(snapshots.test))
    mean = divergence.mean().item()
    return Row(
        abs(signed),
        signed,
        mean,
        (roughness / speed).item(),
        test["stationarity/effect_size"],
        lost(field, snapshots),
        seconds,
    )


def summary(rows: list[Row]) -> None:
    """Mean, standard deviation and range over seeds."""
    table = torch.tensor(rows).double()
    spread = table.std(0) if len(rows) > 1 else torch.zeros_like(table[0])
    for name, values in (
        ("mean", table.mean(0)),
        ("std", spread),
        ("min", table.amin(0)),
        ("max", table.amax(0)),
    ):
        show(name, values.tolist())


def show(name: object, values: list[float]) -> None:
    print(f"{name!s:>5}" + "".join(f"{value:11.3f}" for value in values), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--smoothness", type=float, nargs="+", help="in place of the default")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    flow = OmegaConf.load(CONF / "flow" / "network.yaml")
    assert isinstance(flow, DictConfig)
    batch_size = OmegaConf.load(CONF / "config.yaml").batch_size
    for smoothness in arguments.smoothness or [flow.smoothness]:
        flow.smoothness = smoothness
        print(f"smoothness {smoothness:g}")
        print(" seed" + "".join(f"{name:>11}" for name in Row._fields))
        rows = []
        for seed in arguments.seeds:
            rows.append(measure(flow, batch_size, seed))
            show(seed, list(rows[-1]))
        summary(rows)


if __name__ == "__main__":
    main()
