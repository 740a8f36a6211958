"""Random numbers as functions of (seed, purpose, step, row), independent of the processes.

A generator is seeded anew for each seed, purpose and step, and draws for all rows of a global
batch; a process keeps the rows that it holds. One process and several therefore draw the same
numbers, and a resumed run draws those of an uninterrupted one without a stored state.
"""

from enum import IntEnum

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.runtime.distributed import rows


class Draws(IntEnum):
    """Purpose of random numbers; streams of different purposes are independent.

    The values are part of every result: a new purpose gets the next number.
    """

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
    FRAME_ORDER = 19
    CANVAS = 20


def generator(
    seed: int, draws: Draws, step: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Generator of the stream (``seed``, ``draws``, ``step``)."""
    return torch.Generator(device).manual_seed(hashed(seed, draws, step))


def hashed(seed: int, draws: Draws, step: int = 0) -> int:
    """Seed of the stream (``seed``, ``draws``, ``step``): the 32 bits that torch uses on a CPU."""
    (state,) = np.random.SeedSequence((seed, draws, step)).generate_state(1)
    return int(state)


def normal(
    like: Float[Tensor, "batch *shape"], total: int, seed: int, draws: Draws, step: int = 0
) -> Float[Tensor, "batch *shape"]:
    """Standard normal draws for the rows of this process in a global batch of ``total``.

    ``like`` holds these rows and gives shape, type and device.
    """
    return normal_batch(like, total, seed, draws, step)[rows(total)]


def normal_batch(
    like: Float[Tensor, "batch *shape"], total: int, seed: int, draws: Draws, step: int = 0
) -> Float[Tensor, "total *shape"]:
    """Standard normal draws for all ``total`` rows, whatever this process holds."""
    return torch.randn(
        total,
        *like.shape[1:],
        generator=generator(seed, draws, step, like.device),
        dtype=like.dtype,
        device=like.device,
    )
