"""Gray-Scott reaction-diffusion system on a periodic grid (Pearson 1993), in raw units."""

from collections.abc import Iterator
from functools import partial
from math import prod
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.options import unknown
from eqflow.runtime import Draws, check_memory, generator
from eqflow.systems.runs import Runs, Sample, Schedule
from eqflow.terms import laplacian

AREA_PER_DISC = 800
"""Grid points for each disc of an initial state, or up to twice as many.

With many discs most runs of ``life`` and ``spirals`` die out; with a single one rings meet
themselves across the border, and runs of ``waves`` die out."""


DISC_RADII = 2, 6
"""Smallest and largest radius of a disc, in grid spacings."""


SMALLEST_GRID = 8
"""Shortest side of a grid."""


BATCH_SIZE = 2**24
"""Numbers in the batch of states that is simulated at once, which bounds its memory."""


SMALLEST_PATTERN = 1e-3
"""Range of v over the grid below which a state has no pattern."""


class Rates(NamedTuple):
    """Rates of feeding ``feed`` F and of removal ``kill`` k, and the diffusion of u and v.

    Lengths are in grid spacings, times in Euler steps of ``dt = 1``.
    """

    feed: float
    kill: float
    du: float = 0.16
    dv: float = 0.08


PRESETS = {
    "life": Rates(0.006, 0.045),
    "waves": Rates(0.018, 0.049),
    "spirals": Rates(0.007, 0.028),
    "maze": Rates(0.029, 0.057),
    "chaos": Rates(0.026, 0.051, du=0.10, dv=0.05),
    # classes of Pearson (1993) and of the map by R. Munafo that extends his: these keep moving,
    "alpha": Rates(0.010, 0.047),
    "beta": Rates(0.026, 0.051),
    "gamma": Rates(0.022, 0.051),
    "epsilon": Rates(0.018, 0.055),
    "loops": Rates(0.018, 0.051),
    "movers": Rates(0.014, 0.054),
    "pulses": Rates(0.025, 0.060),
    # and these come to rest, as maze does
    "delta": Rates(0.030, 0.055),
    "eta": Rates(0.034, 0.063),
    "kappa": Rates(0.050, 0.063),
    "mitosis": Rates(0.0367, 0.0649),
    "coral": Rates(0.0545, 0.062),
}
"""Rates of named patterns. The first five are those of Zhang & Levin (2025). On grids below 128x128
most runs of life, spirals and alpha die out."""


class GrayScott:
    """Gray-Scott system, discretised in space with the Laplacian of five points.

    The equations are ``u_t = Du lap u - u v^2 + F (1 - u)`` and
    ``v_t = Dv lap v + u v^2 - (F + k) v``; the channels of a state are ``u`` and ``v``.

    Args:
        preset: Name of the rates in ``PRESETS``.

    Raises ``InputError`` for an unknown preset.
    """

    channels = 2

    def __init__(self, preset: str = "waves") -> None:
        if preset not in PRESETS:
            raise unknown("data.preset=", preset, PRESETS)
        self.preset, self.rates = preset, PRESETS[preset]

    def velocity(
        self, x: Float[Tensor, "batch 2 height width"]
    ) -> Float[Tensor, "batch 2 height width"]:
        """Right-hand side at raw states, in raw units per unit of time."""
        (u, v), r = x.unbind(1), self.rates
        reaction = u * v**2
        diffusion = laplacian(x)
        return torch.stack(
            [
                r.du * diffusion[:, 0] - reaction + r.feed * (1 - u),
                r.dv * diffusion[:, 1] + reaction - (r.feed + r.kill) * v,
            ],
            dim=1,
        )

    def advance(
        self, x: Float[Tensor, "batch 2 height width"], steps: int, dt: float = 1.0
    ) -> None:
        """Take ``steps`` Euler steps of ``dt`` in place, in float32; compiled on the CPU."""
        if x.is_cuda:
            for _ in range(steps):
                x += dt * self.velocity(x)
        elif len(x):
            import numpy as np

            from eqflow.systems import stencil  # importing and compiling take seconds

            threads = torch.get_num_threads()
            stencil.advance(x.numpy(), steps, *map(np.float32, (*self.rates, dt)))
            torch.set_num_threads(threads)  # numba has set those of OpenMP for the whole process

    def lives(self, x: Float[Tensor, "batch 2 height width"]) -> Bool[Tensor, " batch"]:
        """Mask of the states that have a pattern and can keep it.

        Since ``u <= 1``, v only decays where ``v < F + k`` everywhere.
        """
        least, most = x[:, 1].flatten(1).aminmax(dim=1)
        return (most >= self.rates.feed + self.rates.kill) & (most - least > SMALLEST_PATTERN)

    def sample(
        self, n: int, seed: int, grid: tuple[int, int] = (64, 64), schedule: Schedule = Schedule()
    ) -> Sample:
        """``n`` raw states, float32, with a group for each run; see :meth:`batches`."""
        what = f"n={n} on a grid of {grid[0]}x{grid[1]}"
        check_memory(2 * 4 * n * self.channels * prod(grid), what)
        states = torch.cat([*self.batches(n, seed, grid, schedule)])
        return Sample(states, torch.arange(n) // schedule.per_run)

    def batches(
        self, n: int, seed: int, grid: tuple[int, int] = (64, 64), schedule: Schedule = Schedule()
    ) -> Iterator[Float[Tensor, "k 2 height width"]]:
        """The states of :meth:`sample`, a batch at a time; the states of a run are neighbours.

        A run starts at :func:`initial_state` and takes Euler steps, on a GPU if there is one. Its
        states are stationary under the map of one step, which is the flow only for small ``dt``.
        Runs that die out are replaced and counted. Raises ``InputError`` if nearly all die out, for
        a grid that is too small and for an unstable step.
        """
        for kept in self.runs(seed, grid, schedule).survivors(-(-n // schedule.per_run)):
            yield kept.flatten(0, 1)[:n].cpu()
            n -= len(kept) * schedule.per_run

    def runs(self, seed: int, grid: tuple[int, int], schedule: Schedule) -> Runs:
        """Simulated runs on a grid, from which :meth:`batches` takes its states."""
        self.check(grid, schedule)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return Runs(
            start=lambda number: initial_state(grid, seed, number).to(device),
            advance=partial(self.advance, dt=schedule.dt),
            lives=self.lives,
            schedule=schedule,
            most=max(1, BATCH_SIZE // (self.channels * prod(grid))),
            name=f"{self.preset} on a grid of {grid[0]}x{grid[1]}",
        )

    def check(self, grid: tuple[int, int], schedule: Schedule) -> None:
        """Raise ``InputError`` for a grid that is too small and for an unstable step."""
        if min(grid) < SMALLEST_GRID:
            raise InputError(f"data.grid={list(grid)}: expected sides of at least {SMALLEST_GRID}")
        stable = 1 / (4 * max(self.rates.du, self.rates.dv))
        if schedule.dt >= stable:
            raise InputError(
                f"data.dt={schedule.dt}: Euler steps of {self.preset} are stable below "
                f"{stable:.3g}; expected a shorter step"
            )


def initial_state(grid: tuple[int, int], seed: int, number: int) -> Float[Tensor, "2 height width"]:
    """Initial state of run ``number``: random discs of v in ``u = 1, v = 0``, with little noise."""
    draw = generator(seed, Draws.SNAPSHOTS, number)
    most = max(2, prod(grid) // AREA_PER_DISC)
    discs = int(torch.randint(most // 2, most + 1, (1,), generator=draw))
    centres = torch.rand(discs, 2, generator=draw) * torch.tensor(grid)
    least, largest = DISC_RADII
    radii = least + (largest - least) * torch.rand(discs, 1, generator=draw)
    around = torch.cartesian_prod(*[torch.arange(-largest, largest + 1)] * 2)
    places = centres.floor().long()[:, None] + around
    reached = places[((places - centres[:, None]).square().sum(2) <= radii**2)]
    noise = 0.01 * torch.randn(2, *grid, generator=draw).abs()
    x = torch.stack([torch.ones(grid), torch.zeros(grid)])
    rows, columns = (reached % torch.tensor(grid)).T
    x[0, rows, columns], x[1, rows, columns] = 0.5, 0.25
    return x + noise * torch.tensor([-1, 1])[:, None, None]  # u <= 1, which `lives` relies on
