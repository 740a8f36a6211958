"""Data set ``gray_scott``: patterns of the Gray-Scott system, simulated once and kept on disk."""

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
"""Presets whose velocities a field is compared with: the five of Zhang & Levin (2025)."""


class GrayScott(SyntheticModule):
    """Snapshots ``(2, height, width)`` of the Gray-Scott system, with the true velocity.

    Args:
        preset: Name of the rates, see ``eqflow.systems.PRESETS``.
        grid: Side of a square grid, or ``[height, width]``.
        n: Number of training states.
        val: Number of validation states.
        test: Number of held-out states.
        settle: Time that is discarded before the first state of a run.
        per_run: Number of states kept of each run; they are a group.
        every: Time between two states of a run.
        dt: Euler step.
        noise: Measurement noise, a fraction of each channel's standard deviation, added to the
            training and validation splits only.
        cache_dir: Folder that keeps the simulated states, which are mapped from there.
        loader: Arguments of :class:`SnapshotsModule`.

    Raises ``InputError`` for options that make no sense, and for a disk that is too small.
    """

    def __init__(
        self,
        preset: str = "waves",
        grid: int | Sequence[int] = 64,
        n: int = 192,
        val: int = 16,
        test: int = 128,
        settle: float = 10_000.0,
        per_run: int = 1,
        every: float = 500.0,
        dt: float = 1.0,
        noise: float = 0.0,
        cache_dir: str = "outputs/.cache",
        **loader: int,
    ) -> None:
        super().__init__(n, val, test, **loader)
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
        """``n`` raw states, float32, mapped from the cache, which is filled if needed."""
        path = self._path(n)
        with store.locked(path):
            store.remove_leftovers(path.parent, path.name)
            if path.is_file():
                log.info("data: taken from the cache")
            else:
                batches = self.system.batches(n, self.seed, self.grid, self.schedule)
                store.save_array(path, (n, *self.shape), batches)
        states = np.load(path, mmap_mode="c", allow_pickle=False)  # c: copy on write
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
        """File of the cache for ``n`` states with these options."""
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
