"""What likeness to the truth comes without any knowledge of it: that of random skew maps."""

from typing import Any

import torch

from eqflow.evaluation.displacement import displacement
from eqflow.evaluation.images import image_similarity
from eqflow.evaluation.members import mean_and_spread
from eqflow.evaluation.protocol import Protocol
from eqflow.evaluation.similarity import similarity
from eqflow.evaluation.states import noised
from eqflow.fields import build_field
from eqflow.processes import Draws
from eqflow.score import Score
from eqflow.simulate import Integrator
from eqflow.snapshots import Snapshots

SCALED_ON = 256
"""Training states that fix the speed of a random map."""

PUBLISHED = 3
"""Maps that go through the published protocol of displacement, which is slow."""


@torch.no_grad()
def random_skew_similarity(
    score: Score,
    snapshots: Snapshots,
    integrator: Integrator,
    sigma: float,
    protocol: Protocol,
    draws: int = 10,
    **arguments: Any,
) -> dict[str, float]:
    """Similarity of random skew maps of the score, of images also their displacements.

    Mean and, as ``..._std``, spread over ``draws`` seeds, of the published displacement over
    ``PUBLISHED``. ``arguments`` are those of their kernels.
    """
    images = len(snapshots.shape) > 1
    states = noised(snapshots.train[:SCALED_ON], sigma, protocol.seed, Draws.NORMALISATION)
    found: list[dict[str, float]] = []
    for seed in range(1000 * (protocol.seed + 1), 1000 * (protocol.seed + 1) + draws):
        field = build_field("random_skew", snapshots.shape, score, sigma, seed, **arguments)
        field = field.to(states.device)
        numbers = (image_similarity if images else similarity)(field, snapshots, sigma, protocol)
        if images:
            field.normalise_(states.split(32))
            parts = (field, score, snapshots, integrator, sigma, protocol)
            numbers |= displacement(*parts, published=len(found) < PUBLISHED)
        found.append(numbers)
    return mean_and_spread(found)
