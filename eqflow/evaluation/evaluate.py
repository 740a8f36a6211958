"""All measures of a field in one call."""

import torch

from eqflow.evaluation.preservation import preservation
from eqflow.evaluation.protocol import FULL, Protocol
from eqflow.evaluation.residuals import residuals
from eqflow.evaluation.similarity import similarity
from eqflow.evaluation.stationarity import stationarity
from eqflow.fields import VelocityField
from eqflow.score import Score
from eqflow.simulate import Integrator
from eqflow.snapshots import Snapshots


@torch.no_grad()
def evaluate(
    field: VelocityField,
    score: Score,
    snapshots: Snapshots,
    integrator: Integrator,
    sigma: float,
    protocol: Protocol = FULL,
) -> dict[str, float]:
    """Preservation, residual and, where the true velocity is known, similarity of a field.

    ``sigma`` is the noise level the field lives at: it starts from, and is compared with, held-out
    states noised at it. Called by every process alike, it returns the same numbers to each.
    """
    return {
        **preservation(field, score, snapshots, integrator, sigma, protocol),
        **(residuals(field, score, snapshots, sigma, protocol) if sigma else {}),
        **stationarity(field, snapshots, sigma, protocol),
        **similarity(field, snapshots, sigma, protocol),
    }
