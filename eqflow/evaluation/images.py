"""Similarity of image fields: every image has thousands of coordinates and a cosine of its own.

A field made at ``sigma`` is compared with the true velocity at clean held-out images. There it is
averaged over noise, ``E_eps v(x + sigma eps)``, which is what it does to an image whatever the
noise on it; beside that stands its velocity at the image itself.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.data import Snapshots
from eqflow.evaluation.protocol import Protocol
from eqflow.evaluation.states import spread_out
from eqflow.fields import VelocityField
from eqflow.metrics import Cosine
from eqflow.runtime import Draws, generator

LOOKED_AT = 32
"""Held-out images that similarity is taken over."""


PAIRS = 4
"""Noise draws are taken with both signs, so that what is linear in them cancels exactly."""


def image_similarity(
    field: VelocityField, snapshots: Snapshots, sigma: float, protocol: Protocol
) -> dict[str, float]:
    """Cosine to the true velocity, signed and not, and to the alternatives, where they are known.

    ``truth/cos`` and ``cos_signed`` are over all images as one, ``cos_mean`` and ``cos_std`` the
    mean and spread of each image's own; ``truth/clean/...`` the same without noise.
    """
    if snapshots.velocity is None:
        return {}
    x = spread_out(snapshots.test, LOOKED_AT)
    v, truth = averaged(field, x, sigma, protocol), snapshots.velocity(x)
    numbers = _alike("truth/", v, truth)
    numbers["truth/images"] = float(len(x))
    if sigma:
        numbers |= _alike("truth/clean/", field(x), truth)
    return numbers | cross_similarity(v, x, snapshots)


def cross_similarity(
    v: Float[Tensor, "n *shape"], x: Float[Tensor, "n *shape"], snapshots: Snapshots
) -> dict[str, float]:
    """|cos| of velocities at ``x`` to those of every system that the snapshots might be of."""
    others = snapshots.alternatives or {}
    return {f"truth/cross/{name}": abs(_pooled(v, w(x))) for name, w in others.items()}


def averaged(
    field: Callable[[Tensor], Tensor],
    x: Float[Tensor, "n *shape"],
    sigma: float,
    protocol: Protocol,
) -> Float[Tensor, "n *shape"]:
    """``E_eps field(x + sigma eps)`` from ``PAIRS`` draws of either sign; the field at sigma 0."""
    if not sigma:
        return field(x)
    draw = generator(protocol.seed, Draws.HELD_OUT, 1, x.device)
    total = torch.zeros_like(x)
    for _ in range(PAIRS):
        noise = sigma * torch.randn(x.shape, generator=draw, dtype=x.dtype, device=x.device)
        total += field(x + noise) + field(x - noise)
    return total / (2 * PAIRS)


def cosines(v: Float[Tensor, "n *shape"], w: Float[Tensor, "n *shape"]) -> Float[Tensor, " n"]:
    """Cosine of each state's pair; 0 for a vector that vanishes."""
    return torch.cosine_similarity(v.flatten(1).double(), w.flatten(1).double(), eps=1e-30)


def _alike(prefix: str, v: Tensor, truth: Tensor) -> dict[str, float]:
    pooled, each = _pooled(v, truth), cosines(v, truth)
    numbers = {"cos": abs(pooled), "cos_signed": pooled}
    numbers |= {"cos_mean": each.mean().item(), "cos_std": each.std().item()}
    return {f"{prefix}{name}": value for name, value in numbers.items()}


def _pooled(v: Tensor, w: Tensor) -> float:
    metric = Cosine().to(v.device)
    metric.update(v, w)
    return metric.compute().item()
