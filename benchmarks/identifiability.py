"""Do the bands of the identifiability report cover a truth that the family of fields holds?

    python benchmarks/identifiability.py [--steps N] [--seeds N] [--systems ...]

Two distributions in the plane whose dynamics are known: of a linear process with rotation,
snapshots drawn from the Gaussian that solves the Lyapunov equation, its truth the current velocity;
and the uniform ring, its truth the solid rotation. The fields differ on purpose: networks by the
strong form at three noise levels and by the weak form, both of two widths; stream fields, the
smoothest, the straightest and random draws; the skew map. All at the same clean held-out states,
about the mean, at unit speed, signs aligned; bands are over fields and resampled states.

A row a functional and set of fields: its 90 % band, whether that covers the truth, and by how much
the truth is beyond it, in percent of the truth.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import harness
import torch
from scipy.linalg import solve_continuous_lyapunov
from torch import Tensor

from data_modules import Ring
from eqflow.data import Snapshots, split
from eqflow.evaluation import identifiability
from eqflow.fields import Ensemble, build_ensemble
from eqflow.metrics import band, bootstrapped
from eqflow.score import Score

DRIFT = torch.tensor([[-1.0, 2.0], [-0.5, -1.0]]).double()
LEVELS, WIDTHS = (0.1, 0.2, 0.4), (16, 48)


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


SYSTEMS: dict[str, Callable[[int], Snapshots]] = {"linear process": linear_process, "ring": ring}


def kinds(seeds: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name of every kind of field and how fields of it are made."""
    for width in WIDTHS:
        network = {"family": "network", "members": seeds, "width": width}
        for sigma in LEVELS:
            yield f"network, strong {sigma}, width {width}", {**network, "sigma": sigma}
        yield f"network, weak, width {width}", {**network, "condition": "weak"}
    for principle in ("smooth", "acceleration", "none"):
        yield f"stream, {principle}", {"family": "stream", "principle": principle, "width": 32}
    yield "skew", {"family": "skew"}


def made(
    snapshots: Snapshots, score: Score, seeds: int, family: str, members: int = 1, **training: Any
) -> Tensor:
    """Velocities of fields of one kind at the held-out states, ``(seeds, states, 2)``."""
    size = {"width": training.pop("width")} if "width" in training else {}
    sigma = training.setdefault("sigma", 0.2)
    velocities = []
    for seed in range(seeds // members):
        start = (sigma, 100 * size.get("width", 32) + seed)
        field = build_ensemble(members, family, snapshots.shape, score, *start, **size)
        if family == "skew":
            field = harness.normalised(field, snapshots.train, sigma)
        else:
            field = harness.trained_field(field, score, snapshots.train, **training)
        x = snapshots.test
        velocities.append(
            field.at_common_states(x) if isinstance(field, Ensemble) else field(x)[None]
        )
    return torch.cat(velocities)


def compare(name: str, seeds: int, steps: int) -> None:
    """Make the fields of a distribution and print what their bands cover."""
    snapshots = SYSTEMS[name](0)
    x, truth = snapshots.test, snapshots.velocity(snapshots.test)

    def fields() -> dict[str, Tensor]:
        score = harness.trained_score(snapshots.train, steps=1250)
        every = partial(made, snapshots, score, seeds, steps=steps)
        return {kind: every(**how) for kind, how in kinds(seeds)}

    velocities, seconds = harness.timed(fields)
    levels = {"kind": [kind for kind, v in velocities.items() for _ in v]}
    report = identifiability(x, torch.cat([*velocities.values()]), levels, truth)
    print(f"\n{name}: {len(report.fields)} fields, {seconds:.0f} CPU seconds")
    print(f"spread {report.spread.total:.3f}, by seeds alone {report.spread.seeds:.3f}")
    cosines = (report.fields @ report.truth).abs().sort().values
    print("|cos| to the truth: " + ", ".join(f"{cosine:.2f}" for cosine in cosines.tolist()))
    for functional, bands in report.bands().items():
        values = bootstrapped(functional, x, report.fields.view(-1, *x.shape))
        print(f"{functional}, truth {bands.truth:.3f}")
        show("diverse", bands.diverse, bands.truth)
        show("seeds alone, all kinds", bands.seeds, bands.truth)
        for kind in velocities:
            own = torch.tensor([k == kind for k in levels["kind"]])
            show(f"  {kind}", band(values[own]), bands.truth)


def show(name: str, ends: tuple[float, float], truth: float) -> None:
    beyond = max(ends[0] - truth, truth - ends[1], 0.0) / abs(truth)
    covers = "yes" if not beyond else f"no, by {100 * beyond:.2g} %"
    print(f"  {name:<36}{ends[0]:8.3f} {ends[1]:8.3f}   {covers}", flush=True)


if __name__ == "__main__":
    asked = harness.options(__doc__, systems=harness.Names(SYSTEMS), seeds=3, steps=500, threads=1)
    for name in asked.systems:
        compare(name, asked.seeds, asked.steps)
