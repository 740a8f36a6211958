"""Base classes of data sets: snapshots, and the loaders of the trainer."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from eqflow.data import KnownVelocities, Snapshots, check_sizes, split
from eqflow.errors import InputError
from eqflow.runtime import Draws, generator
from eqflow.systems import Sample
from eqflow.training import Batch, train_loader, val_loader


class SnapshotsModule(pl.LightningDataModule, ABC):
    """Data module of snapshots, which :meth:`setup` loads once.

    A subclass sets ``shape``, the shape of a state, in its constructor and implements :meth:`load`.

    Args:
        seed: Seed of the snapshots, of their split and of the batches.
        batch_size: Number of states in a batch, shared by all processes.
        epoch_steps: Number of batches in an epoch, after which training is validated and
            ``last.ckpt`` written.

    Raises ``InputError`` for numbers that are not positive integers.
    """

    shape: tuple[int, ...]
    snapshots: Snapshots

    def __init__(self, seed: int = 0, batch_size: int = 512, epoch_steps: int = 500) -> None:
        super().__init__()
        for name, number in (("batch_size", batch_size), ("epoch_steps", epoch_steps)):
            if not isinstance(number, int) or number < 1:
                raise InputError(f"{name}={number}: expected an integer >= 1")
        self.seed, self.batch_size, self.epoch_steps = seed, batch_size, epoch_steps

    @abstractmethod
    def load(self) -> Snapshots:
        """Generate or read the snapshots, split and standardised."""

    def setup(self, stage: str | None = None) -> None:
        if not hasattr(self, "snapshots"):
            self.snapshots = self.load()

    def train_dataloader(self) -> DataLoader[Batch]:
        return train_loader(self.snapshots.train, self.batch_size, self.epoch_steps, self.seed)

    def val_dataloader(self) -> DataLoader[Batch]:
        return val_loader(self.snapshots.val, self.batch_size)


class SyntheticModule(SnapshotsModule):
    """Data set that is generated: a subclass implements :meth:`sample`.

    Args:
        n: Number of training states.
        val: Number of validation states.
        test: Number of held-out states.
        velocities: Number of training states, drawn at random, whose true velocity is given; None
            for none. It needs a subclass with a ``velocity``, in raw units.
        loader: Arguments of :class:`SnapshotsModule`.

    Raises ``InputError`` for splits that are too small, and for a number of velocities that is out
    of range or asked of a data set without a true velocity.
    """

    velocity: Callable[[Tensor], Tensor] | None = None
    folder: Path | None = None
    """Where a set that is larger than memory is kept, or None if there is no such place."""

    def __init__(
        self,
        n: int = 10_000,
        val: int = 1000,
        test: int = 2000,
        velocities: int | None = None,
        **loader: int,
    ) -> None:
        super().__init__(**loader)
        check_sizes(n, val, test)
        self.n, self.val, self.test, self.velocities = n, val, test, velocities
        if velocities is not None and not (isinstance(velocities, int) and 1 <= velocities <= n):
            raise InputError(
                f"data.velocities={velocities} found; expected an integer from 1 to {n}"
            )
        if velocities is not None and self.velocity is None:
            raise InputError(
                f"data.velocities={velocities} found for {type(self).__name__}; expected "
                "data=lorenz or dysts, vectors whose true velocity is known"
            )

    @abstractmethod
    def sample(self, n: int) -> Sample:
        """``n`` raw states as a function of the seed."""

    def load(self) -> Snapshots:
        x, groups = self.sample(self.n + self.val + self.test)
        sizes = self.val, self.test, self.seed
        snapshots = split(x, *sizes, self.velocity, groups, self.folder)
        if not self.velocities or not snapshots.velocity:
            return snapshots
        draw = generator(self.seed, Draws.VELOCITIES)
        order = torch.randperm(len(snapshots.train), generator=draw)
        states = snapshots.train[order[: self.velocities]]  # a larger number includes a smaller one
        known = KnownVelocities(states, snapshots.velocity(states))
        return replace(snapshots, known_velocities=known)
