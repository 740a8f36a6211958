"""Displacement of images under a score-based field, against that of the true system.

*Odd displacement.* The same image with the same noise is simulated with ``+v`` and with ``-v``;
half the difference of the two denoised ends is what the field alone does. Relaxation towards the
data, which both share, drops out: without a field it is zero. It is signed. Field and true system
run for the same time, ``SHORT`` transit times, each at unit speed.

*Published protocol.* One image, ``STEPS`` steps with ``+v`` or ``-v``; the denoised frames are
smoothed by a moving average of memory ``MEMORY``, and the displacement of the last average from
the denoised first frame is compared with that of the true system after ``SHORT`` transit times.
The better of the two signs counts, so it is positive for fields that know nothing, and most of it
is relaxation; its spread over images says how little one image tells.
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.data import Snapshots, remembered
from eqflow.evaluation.images import cosines
from eqflow.evaluation.protocol import Protocol
from eqflow.evaluation.states import noised, spread_out, true_path
from eqflow.fields import VelocityField
from eqflow.runtime import Draws, normal
from eqflow.score import Score
from eqflow.simulate import EulerMaruyama, FixedStep, HeunSDE, Integrator

SHORT = 0.5
"""Transit times of the odd displacement, and of the true system everywhere."""


STEPS, MEMORY = 200, 0.9
"""Of the published protocol: steps of the integrator, and of the average what is kept in each."""


def displacement(
    field: VelocityField,
    score: Score,
    snapshots: Snapshots,
    integrator: Integrator,
    sigma: float,
    protocol: Protocol,
    published: bool = True,
) -> dict[str, float]:
    """Mean and spread over images of both cosines, for fields that live on noised states.

    The published one costs ten times the other, and may be left out.
    """
    if snapshots.velocity is None or not sigma or not protocol.displaced:
        return {}
    odd = odd_cosines(field, score, snapshots, integrator, sigma, protocol)
    numbers = _mean_and_spread("odd", odd)
    if published:
        found = published_cosines(field, score, snapshots, integrator, sigma, protocol)
        numbers |= _mean_and_spread("published", found)
    return numbers


def odd_cosines(
    field: VelocityField,
    score: Score,
    snapshots: Snapshots,
    integrator: Integrator,
    sigma: float,
    protocol: Protocol,
) -> Float[Tensor, " n"]:
    """Signed cosine of each image's odd displacement to its true one."""
    _, start, truth = starts(snapshots, sigma, protocol)
    sde, times = _sde(integrator, field), torch.tensor([0.0, SHORT])

    def end(sign: float) -> Tensor:
        noise = partial(normal, start, len(start), protocol.seed, Draws.SIMULATION)
        path = sde(lambda x: sign * field(x), start, times, partial(score, sigma=sigma), noise)
        return score.denoise(path[-1], sigma)

    return cosines((end(1.0) - end(-1.0)) / 2, truth)


def published_cosines(
    field: VelocityField,
    score: Score,
    snapshots: Snapshots,
    integrator: Integrator,
    sigma: float,
    protocol: Protocol,
) -> Float[Tensor, " n"]:
    """Cosine of each image's displacement by the published protocol, the better of two signs.

    Steps are those of Euler and Maruyama, whose score denoises the frame as well.
    """
    _, start, truth = starts(snapshots, sigma, protocol)
    sde, first = _sde(integrator, field), score.denoise(start, sigma)
    dt, eta = sde.dt, sde.eta

    def end(sign: float) -> Tensor:
        x, average = start, first
        for step in range(STEPS):
            s = score(x, sigma)
            average = MEMORY * average + (1 - MEMORY) * (x + sigma**2 * s)
            noise = normal(start, len(start), protocol.seed, Draws.SIMULATION, step)
            x = x + (sign * field.given(x, s) + eta * s) * dt + (2 * eta * dt) ** 0.5 * noise
        return average

    signs = [cosines(end(sign) - first, truth) for sign in (1.0, -1.0)]
    return torch.stack(signs).amax(0)


@remembered
def starts(snapshots: Snapshots, sigma: float, protocol: Protocol) -> tuple[Tensor, Tensor, Tensor]:
    """Clean held-out images, the same noised, and their true displacement after ``SHORT``."""
    x = spread_out(snapshots.test, protocol.displaced)
    path = true_path(snapshots, x, torch.tensor([0.0, SHORT]))
    assert path is not None
    return x, noised(x, sigma, protocol.seed, Draws.HELD_OUT), path[-1] - x


def _sde(integrator: Integrator, field: VelocityField) -> FixedStep:
    """The run's own, or the default one where the run integrates an ODE."""
    sde = integrator if isinstance(integrator, HeunSDE | EulerMaruyama) else HeunSDE()
    return sde.limited(field.longest_step)


def _mean_and_spread(name: str, found: Float[Tensor, " n"]) -> dict[str, float]:
    return {
        f"displacement/{name}_cos": found.mean().item(),
        f"displacement/{name}_cos_std": found.std().item(),
    }
