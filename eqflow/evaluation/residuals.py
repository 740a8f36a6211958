"""Relative residual: how far a field is from ``div v + v . s = 0`` at held-out noised states."""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.data import Snapshots, remembered
from eqflow.evaluation.protocol import Protocol
from eqflow.evaluation.states import held_out, noised
from eqflow.fields import VelocityField
from eqflow.metrics import RelativeResidual
from eqflow.runtime import Draws, generator
from eqflow.score import EmpiricalScore, Score
from eqflow.stationarity import (
    MAX_EXACT_DIM,
    dot,
    functions_for,
    hotelling,
    hutchinson,
    rademacher,
    strong_moments,
)

PROBES, IMAGES = 8, 8
"""Divergence estimates for each image, and images that are taken at once."""


def residuals(
    field: VelocityField, score: Score, snapshots: Snapshots, sigma: float, protocol: Protocol
) -> dict[str, float]:
    """``E r^2 / E |v|^2`` against the empirical score and against the score the field was given.

    The empirical score of finitely many snapshots has an error of its own, which a field that
    preserves the law exactly would show as ``residual/relative_floor``.
    """
    x = held_out(snapshots, sigma, protocol)[0]
    empirical, error = empirical_score(snapshots, sigma, protocol)
    probes = None
    if field.dim > MAX_EXACT_DIM:
        probes = rademacher(x.expand(2, *x.shape), generator(0, Draws.PROBES, device=x.device))
    v = field(x)
    moments = {
        "relative": strong_moments(field, x, empirical, probes),
        "relative_floor": (dot(v, error).square(), dot(v, v)),
        "relative_own_score": strong_moments(field, x, score(x, sigma), probes),
    }
    return {f"residual/{name}": _ratio(r2, v2) for name, (r2, v2) in moments.items()}


def image_residuals(
    field: VelocityField, score: Score, snapshots: Snapshots, sigma: float, protocol: Protocol
) -> dict[str, float]:
    """``E r^2 / E |v|^2`` of images against the score the field was given, and its standard error.

    There is no ``residual/relative``: among so many pixels the empirical score pulls every state
    to the one snapshot nearest to it, which says nothing about the law.
    """
    x, draw = held_out(snapshots, sigma, protocol)[0], generator(0, Draws.PROBES)
    r2, v2 = [], []
    for some in x.split(IMAGES):
        probes = rademacher(some.cpu().expand(PROBES, *some.shape), draw).to(some)
        v, div = hutchinson(field, some, probes)
        r2.append(_square(div + dot(v, score(some, sigma))))
        v2.append(dot(v, v))
    squares, speeds = torch.cat(r2).double(), torch.cat(v2).double()
    ratio = _ratio(squares, speeds)
    # of a ratio of means, to first order
    error = (squares - ratio * speeds).std() / len(x) ** 0.5 / speeds.mean()
    return {
        "residual/relative_own_score": ratio,
        "residual/relative_own_score_error": error.item(),
    }


def _square(r: Float[Tensor, "probes batch"]) -> Float[Tensor, " batch"]:
    """Unbiased square of the mean: the mean product over all pairs of different estimates."""
    n = len(r)
    return (r.sum(0).square() - r.square().sum(0)) / (n * (n - 1))


@remembered
def empirical_score(
    snapshots: Snapshots, sigma: float, protocol: Protocol
) -> tuple[Tensor, Tensor]:
    """Empirical score at the starts, and an error of the size of its own.

    Scores of two halves of the snapshots differ with four times the variance of the whole's error.
    """
    x = held_out(snapshots, sigma, protocol)[0]
    first, second = (EmpiricalScore(half)(x, sigma) for half in snapshots.train.chunk(2))
    return EmpiricalScore(snapshots.train)(x, sigma), (first - second) / 2


def _ratio(r2: Tensor, v2: Tensor) -> float:
    metric = RelativeResidual().to(r2.device)
    metric.update(r2, v2)
    return metric.compute().item()


FEWEST = 50
"""Held-out states that the test of stationarity takes at least."""


def stationarity(
    field: VelocityField, snapshots: Snapshots, sigma: float, protocol: Protocol
) -> dict[str, float]:
    """Test of stationarity on all held-out states, noised where the field lives there.

    Those of one group count as one. Where the true velocity is rejected on clean states, the
    sample itself is not stationary.
    """
    if len(snapshots.test) < FEWEST:
        return {}
    x = noised(snapshots.test, sigma, protocol.seed, Draws.HELD_OUT)
    functions = functions_for(x, protocol.seed)
    velocities = {"": field(x)}
    if snapshots.velocity and not sigma:
        velocities["truth/"] = snapshots.velocity(x)
    states, groups = x.double(), snapshots.test_groups
    tests = {prefix: hotelling(v, states, functions, groups) for prefix, v in velocities.items()}
    return {f"{prefix}stationarity/p_value": test.p_value for prefix, test in tests.items()} | {
        f"{prefix}stationarity/effect_size": test.effect_size for prefix, test in tests.items()
    }
