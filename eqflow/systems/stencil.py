"""Compiled Euler steps of the Gray-Scott system, with runs distributed over the CPU cores.

Functions have ``no_type_check`` because the tests wrap annotated functions to check types, and
numba cannot compile a wrapped function.
"""

from typing import no_type_check

import numpy as np
from numba import config, njit, prange

config.reload_config()  # NUMBA_CACHE_DIR may have been set after numba was imported


SMALLEST_V = np.float32(1e-18)
"""Least value of v: the square of a smaller one is denormal, with which steps are slower."""


@njit(parallel=True, fastmath=True, cache=True)
@no_type_check
def advance(states, steps, feed, kill, du, dv, dt):
    """Take ``steps`` Euler steps of ``dt`` in place.

    ``states`` has the shape ``(runs, 2, height, width)`` and is contiguous; it and all rates are
    float32.
    """
    runs, _, height, width = states.shape
    for run in prange(runs):
        here, there = states[run], np.empty((2, height, width), states.dtype)
        for _ in range(steps):
            for i in range(height):
                up, down = (i or height) - 1, (i + 1) % height
                _row(here, there, up, i, down, feed, kill, du, dv, dt)
            here, there = there, here
        if steps % 2:
            states[run] = here


@njit(fastmath=True, cache=True, inline="always")
@no_type_check
def _row(here, there, up, i, down, feed, kill, du, dv, dt):
    width = here.shape[2]
    _cell(here, there, up, i, down, width - 1, 0, 1, feed, kill, du, dv, dt)
    for j in range(1, width - 1):
        _cell(here, there, up, i, down, j - 1, j, j + 1, feed, kill, du, dv, dt)
    _cell(here, there, up, i, down, width - 2, width - 1, 0, feed, kill, du, dv, dt)


@njit(fastmath=True, cache=True, inline="always")
@no_type_check
def _cell(here, there, up, i, down, left, j, right, feed, kill, du, dv, dt):
    u, v = here[0, i, j], here[1, i, j]
    four = np.float32(4)
    lap_u = here[0, up, j] + here[0, down, j] + here[0, i, left] + here[0, i, right] - four * u
    lap_v = here[1, up, j] + here[1, down, j] + here[1, i, left] + here[1, i, right] - four * v
    reaction = u * v * v
    there[0, i, j] = u + dt * (du * lap_u - reaction + feed * (np.float32(1) - u))
    there[1, i, j] = max(v + dt * (dv * lap_v + reaction - (feed + kill) * v), SMALLEST_V)
