"""Where this process stands among those that share the work, and noise that does not depend on it.

Work is split by rows: a process holds a contiguous slice of every global batch. Random numbers are
a function of (seed, draws, step, global row), so one process and many draw the same ones.
"""

from enum import IntEnum

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.runtime.distributed import rows


class Draws(IntEnum):
    """What random numbers are drawn for; those of one seed are independent."""

    DATA = 0
    SCORE = 1
    FLOW = 2
    HELD_OUT = 3
    SIMULATION = 4
    FLOOR = 5
    NORMALISATION = 6
    ORDER = 7
    PROBES = 8
    SNAPSHOTS = 9
    SCORE_WEIGHTS = 10
    FIELD_WEIGHTS = 11
    MATRIX = 12
    TEST_FUNCTIONS = 13
    BOOTSTRAP = 14
    MEASUREMENT = 15
    WINDOWS = 16
    VELOCITIES = 17
    FRAME = 18


def generator(
    seed: int, draws: Draws, step: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Generator of one (seed, draws, step)."""
    return torch.Generator(device).manual_seed(hashed(seed, draws, step))


def hashed(seed: int, draws: Draws, step: int = 0) -> int:
    """(seed, draws, step) as the 32 bits that torch reads of a seed on the CPU."""
    (state,) = np.random.SeedSequence((seed, draws, step)).generate_state(1)
    return int(state)


def normal(
    like: Float[Tensor, "batch *shape"], total: int, seed: int, draws: Draws, step: int = 0
) -> Float[Tensor, "batch *shape"]:
    """Standard normal draws for this process's rows of a global batch of ``total``."""
    return drawn(like, total, seed, draws, step)[rows(total)]


def drawn(
    like: Float[Tensor, "batch *shape"], total: int, seed: int, draws: Draws, step: int = 0
) -> Float[Tensor, "total *shape"]:
    """The same for all rows, as a process that works alone needs them."""
    return torch.randn(
        total,
        *like.shape[1:],
        generator=generator(seed, draws, step, like.device),
        dtype=like.dtype,
        device=like.device,
    )
