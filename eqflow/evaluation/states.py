"""The states that measures are taken at: held-out ones, at the noise level of the field."""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.evaluation.protocol import Protocol
from eqflow.processes import Draws, generator
from eqflow.snapshots import Snapshots, remembered


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
