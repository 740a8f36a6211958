"""The Gray-Scott reaction and diffusion system on a periodic grid (Pearson 1993), in raw units."""

from collections.abc import Iterator
from functools import partial
from math import prod
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.runtime import Draws, check_memory, generator
from eqflow.systems.runs import Runs, Sample, Schedule
from eqflow.terms import laplacian

AREA_PER_DISC = 800
"""Grid points for each disc that a run starts with, or up to twice as many. With many,
most runs of life and spirals die out; with a single one rings meet themselves, and waves do."""


DISC_RADII = 2, 6
"""The least and the largest of them."""


SMALLEST_GRID = 8
"""Side of the smallest grid."""


BATCH_SIZE = 2**24
"""Numbers that are advanced at once: bounds the memory of a simulation."""


SMALLEST_PATTERN = 1e-3
"""Range of v over the grid below which there is no pattern."""


DEFAULT_SCHEDULE = Schedule()
"""The default one."""


class Rates(NamedTuple):
    """``feed`` F and ``kill`` k of the reaction, and the diffusion of both substances.

    Lengths are in grid spacings, times in those of an Euler step of one.
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
    # classes of Pearson, and others of the map by R. Munafo that goes on from his: these move,
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
"""Named patterns. The first five are those of Zhang & Levin; life, spirals and alpha want a grid of
128x128, on smaller ones most of their runs die out."""


class GrayScott:
    """``u_t = Du lap u - u v^2 + F (1 - u)``, ``v_t = Dv lap v + u v^2 - (F + k) v``.

    States are ``(batch, 2, height, width)``; the Laplacian has five points. Raises ``InputError``
    for an unknown preset.
    """

    channels = 2

    def __init__(self, preset: str = "waves") -> None:
        if preset not in PRESETS:
            raise InputError(
                f"data.preset={preset} is unknown; expected one of {', '.join(PRESETS)}"
            )
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
        """Take ``steps`` Euler steps of ``dt`` in place, float32; compiled on the CPU."""
        if x.is_cuda:
            for _ in range(steps):
                x += dt * self.velocity(x)
        elif len(x):
            import numpy as np

            from eqflow.systems import stencil  # compiling takes seconds, importing numba one

            threads = torch.get_num_threads()
            stencil.advance(x.numpy(), steps, *map(np.float32, (*self.rates, dt)))
            torch.set_num_threads(threads)  # of OpenMP, which numba sets for the whole process

    def lives(self, x: Float[Tensor, "batch 2 height width"]) -> Bool[Tensor, " batch"]:
        """Whether a run has a pattern, and is not about to lose it.

        Where v < F + k everywhere it can only decay, as u <= 1.
        """
        least, most = x[:, 1].flatten(1).aminmax(dim=1)
        return (most >= self.rates.feed + self.rates.kill) & (most - least > SMALLEST_PATTERN)

    def sample(
        self,
        n: int,
        seed: int,
        grid: tuple[int, int] = (64, 64),
        schedule: Schedule = DEFAULT_SCHEDULE,
    ) -> Sample:
        """``n`` raw states, float32, of independent runs; see :meth:`batches`."""
        what = f"n={n} on a grid of {grid[0]}x{grid[1]}"
        check_memory(2 * 4 * n * self.channels * prod(grid), what)
        states = torch.cat([*self.batches(n, seed, grid, schedule)])
        return Sample(states, torch.arange(n) // schedule.per_run)

    def batches(
        self,
        n: int,
        seed: int,
        grid: tuple[int, int] = (64, 64),
        schedule: Schedule = DEFAULT_SCHEDULE,
    ) -> Iterator[Float[Tensor, "k 2 height width"]]:
        """The states of :meth:`sample`, some at a time; those of a run stand side by side.

        A run starts with discs of v in u = 1, a function of ``seed`` and its number, and takes
        Euler steps (on a GPU if there is one). Snapshots are stationary for the map of one step,
        which for a small ``dt`` is the flow. Runs that die out are replaced and counted. Raises
        ``InputError`` where practically all do, and for a step that is not stable.
        """
        for kept in self.runs(seed, grid, schedule).survivors(-(-n // schedule.per_run)):
            yield kept.flatten(0, 1)[:n].cpu()
            n -= len(kept) * schedule.per_run

    def runs(self, seed: int, grid: tuple[int, int], schedule: Schedule) -> Runs:
        """The runs behind :meth:`batches`."""
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
        """Refuse grids that are too small and steps that are too long."""
        if min(grid) < SMALLEST_GRID:
            raise InputError(f"data.grid={list(grid)}: expected sides of at least {SMALLEST_GRID}")
        stable = 1 / (4 * max(self.rates.du, self.rates.dv))
        if schedule.dt >= stable:
            raise InputError(
                f"data.dt={schedule.dt}: Euler steps of {self.preset} are stable below "
                f"{stable:.3g}; expected a shorter step"
            )


def initial_state(grid: tuple[int, int], seed: int, number: int) -> Float[Tensor, "2 height width"]:
    """Where run ``number`` starts: u = 1, v = 0 but in random discs, and a little noise."""
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
    return x + noise * torch.tensor([-1, 1])[:, None, None]  # u stays below 1: see `lives`
