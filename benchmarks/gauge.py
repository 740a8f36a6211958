"""Do the bands of the gauge report cover a truth that the family holds?

    python benchmarks/gauge.py [--steps N] [--seeds N] [--laws ...]

Two laws of the plane whose dynamics are known: a linear process with rotation, its snapshots drawn
from the Gaussian that solves the Lyapunov equation, its truth the current velocity; and the uniform
ring, its truth the solid rotation. The diverse ensemble: networks by the strong form at three noise
levels and by the weak form, both of two widths; stream fields, the smoothest, the straightest and
random draws; the skew map. All at the same clean held-out states, about the mean, at unit speed,
signs aligned; bands are over fields and resampled states.

A row a functional and ensemble: its 90 % band, whether that covers the truth, and by how much the
truth is beyond it, in percent of the truth. Then the shares of the kinds of field in the spread.
"""

import argparse
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch  # noqa: E402
from scipy.linalg import solve_continuous_lyapunov  # noqa: E402
from torch import Tensor  # noqa: E402

from data_modules import Ring  # noqa: E402
from eqflow.evaluation import gauge  # noqa: E402
from eqflow.fields import Ensemble, VelocityField, build_ensemble  # noqa: E402
from eqflow.metrics import band, bootstrapped  # noqa: E402
from eqflow.score import Score, build_score  # noqa: E402
from eqflow.snapshots import Snapshots, split  # noqa: E402
from eqflow.training import (  # noqa: E402
    flow_module,
    noised_batches,
    quiet_trainer,
    score_module,
    train_loader,
)

DRIFT = torch.tensor([[-1.0, 2.0], [-0.5, -1.0]]).double()
LEVELS, WIDTHS = (0.1, 0.2, 0.4), (16, 48)
BATCH = 512

Fields = dict[str, Tensor]
"""Kind of field -> velocities of its seeds at the held-out states, ``(seeds, states, 2)``."""


def linear_process(seed: int) -> Snapshots:
    """``dx = A x dt + dW``; ``A P + P A^T = -1``, and the current velocity ``(A + P^-1 / 2) x``."""
    covariance = torch.from_numpy(solve_continuous_lyapunov(DRIFT.numpy(), -torch.eye(2).numpy()))
    draw = torch.Generator().manual_seed(seed)
    normal = torch.randn(13_000, 2, generator=draw, dtype=torch.double)
    x = normal @ torch.linalg.cholesky(covariance).T
    current = DRIFT + torch.linalg.inv(covariance) / 2
    return split(x, 1000, 2000, seed, velocity=lambda x: x @ current.T)


def ring(seed: int) -> Snapshots:
    """Uniform on ``1 <= r <= 2``, as if it turned like a solid body."""
    x = Ring(seed=seed).sample(13_000).states
    return split(x, 1000, 2000, seed, velocity=lambda x: torch.stack([-x[:, 1], x[:, 0]], 1))


LAWS: dict[str, Callable[[int], Snapshots]] = {"linear process": linear_process, "ring": ring}


def trained_score(snapshots: Snapshots) -> Score:
    """The default one, for half as long."""
    score = build_score(name="mlp", shape=snapshots.shape, points=snapshots.train, seed=0)
    module = score_module(score, seed=0, steps=1250)
    fit(module, snapshots)
    return score.requires_grad_(False)


def fit(module: Any, snapshots: Snapshots) -> None:
    loader = train_loader(snapshots.train, BATCH, 100, seed=0)
    quiet_trainer(module.steps, accelerator="cpu").fit(module, loader)


def kinds(seeds: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name of every kind of field and how one is made."""
    for width in WIDTHS:
        network = {"family": "network", "members": seeds, "width": width}
        for sigma in LEVELS:
            yield f"network, strong {sigma}, width {width}", {**network, "sigma": sigma}
        yield f"network, weak, width {width}", {**network, "condition": "weak"}
    for principle in ("smooth", "acceleration", "none"):
        yield f"stream, {principle}", {"family": "stream", "principle": principle}
    yield "skew", {"family": "skew"}


def made(
    snapshots: Snapshots,
    score: Score,
    seeds: int,
    steps: int,
    family: str,
    members: int = 1,
    sigma: float = 0.2,
    width: int = 32,
    **options: Any,
) -> Tensor:
    """Velocities of fields of one kind at the held-out states."""
    size = {} if family == "skew" else {"width": width}
    found = []
    for seed in range(seeds // members):
        parts = (members, family, snapshots.shape, score, sigma, 100 * width + seed)
        field = build_ensemble(*parts, **size)
        if family != "skew":
            module = flow_module(
                field, score, snapshots.train, sigma=sigma, steps=steps, seed=0, **options
            )
            if module:
                fit(module, snapshots)
        noise = 0.0 if options.get("condition") == "weak" else sigma
        field.requires_grad_(False).normalise_(noised_batches(snapshots.train, noise))
        found.append(velocities(field, snapshots.test))
    return torch.cat(found)


def velocities(field: VelocityField, x: Tensor) -> Tensor:
    return field.at_common_states(x) if isinstance(field, Ensemble) else field(x)[None]


def measure(name: str, seeds: int, steps: int) -> None:
    """Make the fields of a law and print what their bands cover."""
    started = time.process_time()
    snapshots = LAWS[name](0)
    score = trained_score(snapshots)
    fields = {kind: made(snapshots, score, seeds, steps, **how) for kind, how in kinds(seeds)}
    x, true = snapshots.test, snapshots.velocity(snapshots.test)  # type: ignore[misc]
    levels = {"kind": [kind for kind, v in fields.items() for _ in v]}
    found = gauge(x, torch.cat([*fields.values()]), levels, true)
    print(f"\n{name}: {len(found.fields)} fields, {time.process_time() - started:.0f} CPU seconds")
    print(f"spread {found.spread.total:.3f}, by seeds alone {found.spread.seeds:.3f}")
    cosines = (found.fields @ found.truth).abs()  # type: ignore[operator]
    print("|cos| to the truth: " + ", ".join(f"{q:.2f}" for q in cosines.sort().values.tolist()))
    for functional, bands in found.bands().items():
        values = bootstrapped(functional, x, found.fields.view(-1, *x.shape))
        print(f"{functional}, truth {bands.truth:.3f}")
        row("diverse", bands.diverse, bands.truth)
        row("seeds alone, all kinds", bands.seeds, bands.truth)
        for kind in fields:
            mine = torch.tensor([k == kind for k in levels["kind"]])
            row(f"  {kind}", band(values[mine]), bands.truth)


def row(name: str, ends: tuple[float, float], truth: float | None) -> None:
    assert truth is not None
    beyond = max(ends[0] - truth, truth - ends[1], 0.0) / abs(truth)
    covers = "yes" if not beyond else f"no, by {100 * beyond:.2g} %"
    print(f"  {name:<36}{ends[0]:8.3f} {ends[1]:8.3f}   {covers}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--laws", nargs="+", choices=LAWS, default=list(LAWS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    for law in arguments.laws:
        measure(law, arguments.seeds, arguments.steps)


if __name__ == "__main__":
    main()
