"""The states that measures are taken at: held-out ones, at the noise level of the field."""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.data import Snapshots, remembered
from eqflow.evaluation.protocol import Protocol
from eqflow.fields import VelocityField
from eqflow.runtime import Draws, generator, normal, rows
from eqflow.score import Score
from eqflow.simulate import RK4, Integrator, Stable, stiffness


@remembered
def held_out(
    snapshots: Snapshots, sigma: float, protocol: Protocol
) -> tuple[Float[Tensor, "n *shape"], Float[Tensor, "n *shape"]]:
    """States to start from and states to compare with: two halves of the noised test split."""
    n = min(protocol.starts, len(snapshots.test) // 2)
    x = noised(snapshots.test[: 2 * n], sigma, protocol.seed, Draws.HELD_OUT)
    return x[:n], x[n:]


def spread_out(x: Float[Tensor, "n *shape"], most: int) -> Float[Tensor, "few *shape"]:
    """At most so many of the states, evenly spaced: neighbours may be of one run."""
    few = min(most, len(x))
    return x[[i * len(x) // few for i in range(few)]]


def noised(
    x: Float[Tensor, "n *shape"], sigma: float, seed: int, draws: Draws
) -> Float[Tensor, "n *shape"]:
    """``x + sigma eps``, the same draws in every process."""
    draw = generator(seed, draws, device=x.device)
    return x + sigma * torch.randn(x.shape, generator=draw, dtype=x.dtype, device=x.device)


RESOLVED = 8
"""A step of true images, times the rate at which their shortest waves decay: reactions are slower
by a factor of ten, which for patterns nearly at rest is still many times in a transit time."""


Path = dict[float, Tensor]
"""Transit times -> the states that this process holds of those simulated."""


def simulated(
    field: VelocityField,
    score: Score,
    snapshots: Snapshots,
    integrator: Integrator,
    sigma: float,
    protocol: Protocol,
) -> Path:
    """Held-out states after every horizon, this process's rows of them."""
    starts = held_out(snapshots, sigma, protocol)[0]
    mine = starts[rows(len(starts))]
    times = torch.tensor([0.0, *protocol.horizons], device=starts.device)

    def noise(step: int) -> Tensor:
        return normal(mine, len(starts), protocol.seed, Draws.SIMULATION, step)

    used = integrator.limited(field.longest_step)
    path = used(field, mine, times, partial(score, sigma=sigma), noise)
    return dict(zip(protocol.horizons, path[1:], strict=True))


def true_path(
    snapshots: Snapshots, x0: Float[Tensor, "n *shape"], times: Float[Tensor, " times"]
) -> Float[Tensor, "times n *shape"] | None:
    """The true system from clean states, at unit speed over the held-out ones, where it is known.

    Images are taken to react and diffuse, which is stiff in transit times.
    """
    velocity = snapshots.velocity
    if velocity is None:
        return None
    unit = velocity(snapshots.test).square().mean().rsqrt()

    def at_unit_speed(x: Tensor) -> Tensor:
        return unit * velocity(x)

    if len(snapshots.shape) == 1:
        return RK4()(at_unit_speed, x0, times)
    step = min(0.05, RESOLVED / max(1.0, stiffness(at_unit_speed, x0).radius))
    return Stable(step)(at_unit_speed, x0, times)
