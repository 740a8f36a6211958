"""Relative residual: how far a field is from ``div v + v . s = 0`` at held-out noised states."""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.evaluation.protocol import Protocol
from eqflow.evaluation.states import held_out
from eqflow.fields import VelocityField
from eqflow.metrics import RelativeResidual
from eqflow.processes import Stream, generator
from eqflow.score import EmpiricalScore, Score
from eqflow.snapshots import Snapshots, remembered
from eqflow.stationarity import MAX_EXACT_DIM, rademacher, strong_moments


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
        probes = rademacher(x.expand(2, *x.shape), generator(0, Stream.PROBES, device=x.device))
    v = field(x)
    moments = {
        "relative": strong_moments(field, x, empirical, probes),
        "relative_floor": (_dot(v, error).square(), _dot(v, v)),
        "relative_own_score": strong_moments(field, x, score(x, sigma), probes),
    }
    return {f"residual/{name}": _ratio(r2, v2) for name, (r2, v2) in moments.items()}


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


def _dot(a: Tensor, b: Tensor) -> Float[Tensor, " batch"]:
    return torch.linalg.vecdot(a.flatten(1), b.flatten(1))


def _ratio(r2: Tensor, v2: Tensor) -> float:
    metric = RelativeResidual().to(r2.device)
    metric.update(r2, v2)
    return metric.compute().item()
