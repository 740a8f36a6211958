"""Data set ``gray_scott``: patterns of the Gray-Scott system, simulated once and kept on disk."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from data_modules.cached import CachedImages, sides
from eqflow import systems
from eqflow.data import Snapshots, add_measurement_noise
from eqflow.errors import InputError
from eqflow.systems import Sample, Schedule

COMPARED_PRESETS = ("life", "waves", "spirals", "maze", "chaos")
"""Presets whose velocities a field is compared with: the five of Zhang & Levin (2025)."""


class GrayScott(CachedImages):
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
        super().__init__(n, val, test, cache_dir, **loader)
        if not 0 <= noise < 10:
            raise InputError(f"data.noise={noise}: expected a fraction of the standard deviation")
        self.system, self.noise = systems.GrayScott(preset), noise
        self.velocity = self.system.velocity
        self.schedule = Schedule(settle, per_run, every, dt)
        self.grid = sides("data.grid", grid)
        self.system.check(self.grid, self.schedule)
        self.shape = (self.system.channels, *self.grid)
        self.check_room()

    def key(self) -> dict[str, Any]:
        return {
            "rates": self.system.rates,
            "grid": self.grid,
            "steps": self.schedule.steps,
            "dt": float(self.schedule.dt),
        }

    def batches(self, n: int) -> Iterator[Tensor]:
        return self.system.batches(n, self.seed, self.grid, self.schedule)

    def sample(self, n: int) -> Sample:
        """``n`` raw states, float32; those of a run are a group."""
        return Sample(super().sample(n).states, torch.arange(n) // self.schedule.per_run)

    def load(self) -> Snapshots:
        snapshots = super().load()
        if self.noise:
            snapshots = add_measurement_noise(snapshots, self.noise, self.seed)
        standard = snapshots.standardiser.standard_velocity
        names = dict.fromkeys((self.system.preset, *COMPARED_PRESETS))
        others = {name: standard(systems.GrayScott(name).velocity) for name in names}
        return replace(snapshots, alternatives=others)
