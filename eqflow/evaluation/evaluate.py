"""All measures of a field in one call."""

import torch

from eqflow.data import Snapshots
from eqflow.evaluation.chaos import chaos
from eqflow.evaluation.displacement import displacement
from eqflow.evaluation.images import image_similarity
from eqflow.evaluation.preservation import distances, shortened
from eqflow.evaluation.protocol import FULL, Protocol
from eqflow.evaluation.residuals import image_residuals, residuals, stationarity
from eqflow.evaluation.similarity import similarity, velocity_agreement
from eqflow.evaluation.states import simulated
from eqflow.evaluation.textures import textures
from eqflow.fields import VelocityField
from eqflow.score import Score
from eqflow.simulate import Integrator


@torch.no_grad()
def evaluate(
    field: VelocityField,
    score: Score,
    snapshots: Snapshots,
    integrator: Integrator,
    sigma: float,
    protocol: Protocol = FULL,
) -> dict[str, float]:
    """Preservation, residual, chaos and, where the true velocity is known, similarity of a field.

    ``sigma`` is the noise level the field lives at: it starts from, and is compared with, held-out
    states noised at it. Called by every process alike, it returns the same numbers to each.
    """
    path = simulated(field, score, snapshots, integrator, sigma, protocol)
    numbers = distances(path, snapshots, sigma, protocol) | shortened(field, integrator)
    numbers |= stationarity(field, snapshots, sigma, protocol)
    numbers |= velocity_agreement(field, snapshots)
    if len(snapshots.shape) == 1:
        numbers |= residuals(field, score, snapshots, sigma, protocol) if sigma else {}
        numbers |= similarity(field, snapshots, sigma, protocol)
        return numbers | chaos(field, snapshots, integrator, sigma, protocol)
    numbers |= textures(path, snapshots, sigma, protocol)
    numbers |= image_residuals(field, score, snapshots, sigma, protocol) if sigma else {}
    numbers |= image_similarity(field, snapshots, sigma, protocol)
    return numbers | displacement(field, score, snapshots, integrator, sigma, protocol)
