"""Patterns of the Gray-Scott system, made once and kept on disk."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from data_modules.base import SyntheticModule
from eqflow import systems
from eqflow.data import Snapshots, add_measurement_noise, split
from eqflow.errors import InputError
from eqflow.runtime import check_disk, store
from eqflow.systems import Sample, Schedule
from eqflow.version import __version__

log = logging.getLogger("eqflow")

COMPARED_PRESETS = ("life", "waves", "spirals", "maze", "chaos")
"""Presets whose velocities a field is compared with: the five of the paper."""


class GrayScott(SyntheticModule):
    """Snapshots ``(2, height, width)`` of the Gray-Scott ``preset``, with the true velocity.

    ``grid`` is the side of a square or ``[height, width]``. Of each run ``per_run`` states are kept
    ``every`` units of time apart, the first after ``settle``; ``dt`` is the Euler step. ``noise``,
    a fraction of each channel's standard deviation, is added as a measurement's to the training and
    validation splits; the test split stays clean, so that the true velocity there is true. States
    are kept in ``cache_dir`` and mapped from there.
    """

    def __init__(
        self,
        preset: str = "waves",
        grid: int | Sequence[int] = 64,
        n: int = 192,
        val: int = 16,
        test: int = 128,
        seed: int = 0,
        settle: float = 10_000.0,
        per_run: int = 1,
        every: float = 500.0,
        dt: float = 1.0,
        noise: float = 0.0,
        cache_dir: str = "outputs/.cache",
        **loader: int,
    ) -> None:
        super().__init__(n, val, test, seed, **loader)
        if not 0 <= noise < 10:
            raise InputError(f"data.noise={noise}: expected a fraction of the standard deviation")
        self.system, self.noise = systems.GrayScott(preset), noise
        self.velocity = self.system.velocity
        self.schedule = Schedule(settle, per_run, every, dt)
        self.grid = _sides(grid)
        self.system.check(self.grid, self.schedule)
        self.shape = (self.system.channels, *self.grid)
        self.folder = Path(cache_dir) / "gray_scott"
        self.total = n + val + test
        if not self._path(self.total).is_file():
            check_disk(self.total, self.shape, self.folder)

    def sample(self, n: int) -> Sample:
        """Of ``n`` states, from the cache or into it, float32 and mapped."""
        path = self._path(n)
        with store.locked(path):
            store.remove_leftovers(path.parent, path.name)
            if path.is_file():
                log.info("data: taken from the cache")
            else:
                batches = self.system.batches(n, self.seed, self.grid, self.schedule)
                store.save_array(path, (n, *self.shape), batches)
        states = np.load(path, mmap_mode="c", allow_pickle=False)  # c: nothing reaches the file
        return Sample(torch.from_numpy(states), torch.arange(n) // self.schedule.per_run)

    def load(self) -> Snapshots:
        x, groups = self.sample(self.total)
        snapshots = split(
            x, self.val, self.test, self.seed, self.velocity, groups, folder=self.folder
        )
        if self.noise:
            snapshots = add_measurement_noise(snapshots, self.noise, self.seed)
        standard = snapshots.standardiser.standard_velocity
        names = dict.fromkeys((self.system.preset, *COMPARED_PRESETS))
        others = {name: standard(systems.GrayScott(name).velocity) for name in names}
        return replace(snapshots, alternatives=others)

    def _path(self, n: int) -> Path:
        """The file of what these options make."""
        key = {
            "rates": self.system.rates,
            "grid": self.grid,
            "n": n,
            "seed": self.seed,
            "steps": self.schedule.steps,
            "dt": float(self.schedule.dt),
            "version": __version__,
        }
        return self.folder / f"{store.content_hash(key)}.npy"


def _sides(grid: int | Sequence[int]) -> tuple[int, int]:
    sides = list(grid) if isinstance(grid, Sequence) else [grid, grid]
    if len(sides) != 2 or not all(isinstance(side, int) for side in sides):
        raise InputError(f"data.grid={grid}: expected a side, or [height, width]")
    return sides[0], sides[1]
