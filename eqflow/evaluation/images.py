"""Similarity of image fields: every image has thousands of coordinates and a cosine of its own.

A field made at ``sigma`` is compared with the true velocity at clean held-out images. There it is
averaged over noise, ``E_eps v(x + sigma eps)``, which is what it does to an image whatever the
noise on it; beside that stands its velocity at the image itself.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.evaluation.reference import Reference, spread_out
from eqflow.evaluation.similarity import cosine, cosines, field_cosines
from eqflow.fields import VelocityField
from eqflow.runtime import Draws, generator
from eqflow.stationarity import Velocity

COMPARED_IMAGES = 32
"""Held-out images that similarity is taken over."""

NOISE_PAIRS = 4
"""Noise draws are taken with both signs, so that what is linear in them cancels exactly."""


def image_similarity(field: VelocityField, reference: Reference) -> dict[str, float]:
    """Cosine to the true velocity, signed and not, and to the alternatives, where they are known.

    ``truth/cos``, ``cos_signed`` and the cosines of single equations are over all images as one,
    ``cos_mean`` and ``cos_std`` the mean and spread over images; ``truth/clean/...`` are the same
    without noise.
    """
    snapshots = reference.snapshots
    if snapshots.velocity is None:
        return {}
    x = spread_out(snapshots.test, COMPARED_IMAGES)
    v, truth = averaged(field, x, reference), snapshots.velocity(x)
    numbers = _cosines("truth/", v, truth)
    numbers["truth/images"] = float(len(x))
    if reference.sigma:
        numbers |= _cosines("truth/clean/", field(x), truth)
    others = snapshots.alternatives or {}
    return numbers | {f"truth/cross/{n}": abs(cosine(v, w(x))) for n, w in others.items()}


def averaged(
    field: Velocity, x: Float[Tensor, "n *shape"], reference: Reference
) -> Float[Tensor, "n *shape"]:
    """``E_eps field(x + sigma eps)`` from ``NOISE_PAIRS`` draws of either sign."""
    sigma = reference.sigma
    if not sigma:
        return field(x)
    draw = generator(reference.protocol.seed, Draws.HELD_OUT, 1, x.device)
    total = torch.zeros_like(x)
    for _ in range(NOISE_PAIRS):
        noise = sigma * torch.randn(x.shape, generator=draw, dtype=x.dtype, device=x.device)
        total += field(x + noise) + field(x - noise)
    return total / (2 * NOISE_PAIRS)


def _cosines(prefix: str, v: Tensor, truth: Tensor) -> dict[str, float]:
    single = cosines(v, truth)
    over_images = {"cos_mean": single.mean().item(), "cos_std": single.std().item()}
    numbers = field_cosines(v, truth) | over_images
    return {f"{prefix}{name}": value for name, value in numbers.items()}
