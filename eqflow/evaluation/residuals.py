"""How far a field is from stationarity: relative residual, and the test of the weak form."""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.evaluation.reference import Reference
from eqflow.fields import VelocityField
from eqflow.metrics import RelativeResidual
from eqflow.runtime import Draws, generator
from eqflow.score import Score
from eqflow.stationarity import (
    MAX_EXACT_DIM,
    Velocity,
    functions_for,
    hotelling,
    hutchinson,
    rademacher,
    strong_moments,
)

IMAGE_PROBES, IMAGE_BATCH = 8, 8
"""Divergence estimates for each image, and images that are taken at once."""

FEWEST_TESTED = 50
"""Held-out states that the test of stationarity needs."""


def residuals(field: VelocityField, score: Score, reference: Reference) -> dict[str, float]:
    """``E r^2 / E |v|^2`` against the empirical score and against the field's own.

    ``residual/relative_floor`` is what the error of the empirical score, made of finitely many
    snapshots, adds: a field that preserves the distribution exactly reads as much.
    """
    x, (empirical, error) = reference.initial, reference.empirical_score
    probes = None
    if field.dim > MAX_EXACT_DIM:
        probes = rademacher(x.expand(2, *x.shape), generator(0, Draws.PROBES, device=x.device))
    v = field(x)
    moments = {
        "relative": strong_moments(field, x, empirical, probes),
        "relative_floor": (_dot(v, error).square(), _dot(v, v)),
        "relative_own_score": strong_moments(field, x, score(x, reference.sigma), probes),
    }
    return {f"residual/{name}": _ratio(r2, v2) for name, (r2, v2) in moments.items()}


def image_residuals(field: VelocityField, score: Score, reference: Reference) -> dict[str, float]:
    """``E r^2 / E |v|^2`` of images against the field's own score, and its standard error.

    There is no ``residual/relative``: among so many pixels the empirical score pulls every state
    to the one snapshot nearest to it, which says nothing about the distribution.
    """
    x, draw = reference.initial, generator(0, Draws.PROBES)
    r2, v2 = [], []
    for batch in x.split(IMAGE_BATCH):
        probes = rademacher(batch.cpu().expand(IMAGE_PROBES, *batch.shape), draw).to(batch)
        v, div = hutchinson(field, batch, probes)
        r2.append(_square(div + _dot(v, score(batch, reference.sigma))))
        v2.append(_dot(v, v))
    squares, speeds = torch.cat(r2).double(), torch.cat(v2).double()
    ratio = _ratio(squares, speeds)
    # of a ratio of means, to first order
    error = (squares - ratio * speeds).std() / len(x) ** 0.5 / speeds.mean()
    return {
        "residual/relative_own_score": ratio,
        "residual/relative_own_score_error": error.item(),
    }


def stationarity(velocity: Velocity, reference: Reference) -> dict[str, float]:
    """Hotelling's test that a velocity preserves the distribution, on all held-out states.

    States are at the noise level of the reference; those of one group count as one observation.
    """
    x, groups = reference.snapshots.test, reference.snapshots.test_groups
    if len(x) < FEWEST_TESTED:
        return {}
    x = reference.noised(x)
    test = hotelling(velocity(x), x.double(), functions_for(x, reference.protocol.seed), groups)
    return {"stationarity/p_value": test.p_value, "stationarity/effect_size": test.effect_size}


def _square(r: Float[Tensor, "probes batch"]) -> Float[Tensor, " batch"]:
    """Unbiased square of the mean: the mean product over all pairs of different estimates."""
    n = len(r)
    return (r.sum(0).square() - r.square().sum(0)) / (n * (n - 1))


def _dot(a: Tensor, b: Tensor) -> Float[Tensor, " batch"]:
    return torch.linalg.vecdot(a.flatten(1), b.flatten(1))


def _ratio(r2: Tensor, v2: Tensor) -> float:
    metric = RelativeResidual().to(r2.device)
    metric.update(r2, v2)
    return metric.compute().item()
