"""Displacement of images under a score-based field, against that of the true system.

*Odd displacement.* The same image with the same noise is simulated with ``+v`` and with ``-v``;
half the difference of the two denoised ends is what the field alone does. Relaxation towards the
data, which both share, drops out: without a field it is zero. It is signed. Field and true system
run for the same time, ``DISPLACEMENT_TIME`` transit times, each at unit speed.

*Published protocol.* One image, ``PUBLISHED_STEPS`` steps with ``+v`` or ``-v``; the denoised
frames are smoothed by a moving average of memory ``PUBLISHED_MEMORY``, and the displacement of the
last average from the denoised first frame is compared with that of the true system. The better of
the two signs counts, so it is positive for fields that know nothing, and most of it is relaxation;
its spread over images says how little one image tells.
"""

from functools import partial
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.evaluation.reference import DISPLACEMENT_TIME, Reference
from eqflow.evaluation.similarity import cosines
from eqflow.fields import VelocityField
from eqflow.runtime import Draws, normal
from eqflow.score import Score
from eqflow.simulate import FixedStep, HeunSDE, Integrator

PUBLISHED_STEPS, PUBLISHED_MEMORY = 200, 0.9
"""Of the published protocol: steps of the integrator, and what the average keeps in each."""


def displacement(
    field: VelocityField,
    score: Score,
    reference: Reference,
    integrator: Integrator,
    published: bool = True,
) -> dict[str, float]:
    """Mean and spread over images of both cosines, for fields that live on noised states.

    The ``published`` one costs ten times the other, and may be left out.
    """
    if not (reference.snapshots.velocity and reference.sigma and reference.protocol.displaced):
        return {}
    sde = sde_of(integrator, field.longest_step)
    numbers = _mean_and_spread("odd", odd_cosines(field, score, reference, sde))
    if published:
        cos = published_cosines(field, score, reference, sde)
        numbers |= _mean_and_spread("published", cos)
    return numbers


def odd_cosines(
    field: VelocityField, score: Score, reference: Reference, sde: FixedStep
) -> Float[Tensor, " n"]:
    """Signed cosine of each image's odd displacement to its true one."""
    (start, truth), sigma, seed = reference.displaced, reference.sigma, reference.protocol.seed
    times = torch.tensor([0.0, DISPLACEMENT_TIME])

    def end(sign: float) -> Tensor:
        noise = partial(normal, start, len(start), seed, Draws.SIMULATION)
        path = sde(lambda x: sign * field(x), start, times, partial(score, sigma=sigma), noise)
        return score.denoise(path[-1], sigma)

    return cosines((end(1.0) - end(-1.0)) / 2, truth)


def published_cosines(
    field: VelocityField, score: Score, reference: Reference, sde: FixedStep
) -> Float[Tensor, " n"]:
    """Cosine of each image's displacement by the published protocol, the better of two signs.

    Steps are those of Euler and Maruyama, whose score denoises the frame as well.
    """
    (start, truth), sigma, seed = reference.displaced, reference.sigma, reference.protocol.seed
    first, dt, eta, memory = score.denoise(start, sigma), sde.dt, sde.eta, PUBLISHED_MEMORY

    def end(sign: float) -> Tensor:
        x, average = start, first
        for step in range(PUBLISHED_STEPS):
            s = score(x, sigma)
            average = memory * average + (1 - memory) * (x + sigma**2 * s)
            noise = normal(start, len(start), seed, Draws.SIMULATION, step)
            x = x + (sign * field.given(x, s) + eta * s) * dt + (2 * eta * dt) ** 0.5 * noise
        return average

    signs = [cosines(end(sign) - first, truth) for sign in (1.0, -1.0)]
    return torch.stack(signs).amax(0)


def sde_of(integrator: Integrator, longest_step: float) -> FixedStep:
    """The run's own integrator, or the default one where the run integrates an ODE."""
    sde = cast(FixedStep, integrator) if integrator.stochastic else HeunSDE()
    return sde.limited(longest_step)


def _mean_and_spread(name: str, cos: Float[Tensor, " n"]) -> dict[str, float]:
    return {
        f"displacement/{name}_cos": cos.mean().item(),
        f"displacement/{name}_cos_std": cos.std().item(),
    }
