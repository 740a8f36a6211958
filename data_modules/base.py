"""What every data set offers to the trainer."""

from collections.abc import Callable
from dataclasses import replace

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from eqflow.data import KnownVelocities, Snapshots, check_sizes, split
from eqflow.errors import InputError
from eqflow.runtime import Draws, generator
from eqflow.systems import Sample
from eqflow.training import train_loader, val_loader


class SnapshotsModule(pl.LightningDataModule):
    """Snapshots behind one interface: ``setup`` fills ``snapshots``, the loaders slice them.

    ``shape`` of one state is known before ``setup``. An *epoch* is ``epoch_steps`` batches: the
    rhythm of validation and of ``last.ckpt``.
    """

    shape: tuple[int, ...]
    snapshots: Snapshots

    def __init__(self, seed: int = 0, batch_size: int = 512, epoch_steps: int = 500) -> None:
        super().__init__()
        for name, number in (("batch_size", batch_size), ("epoch_steps", epoch_steps)):
            if not isinstance(number, int) or number < 1:
                raise InputError(f"{name}={number}: expected an integer >= 1")
        self.seed, self.batch_size, self.epoch_steps = seed, batch_size, epoch_steps

    def load(self) -> Snapshots:
        """Make or read the snapshots, split and standardised."""
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        if not hasattr(self, "snapshots"):
            self.snapshots = self.load()

    def train_dataloader(self) -> DataLoader:
        return train_loader(self.snapshots.train, self.batch_size, self.epoch_steps, self.seed)

    def val_dataloader(self) -> DataLoader:
        return val_loader(self.snapshots.val, self.batch_size)


class SyntheticModule(SnapshotsModule):
    """Snapshots that can be drawn at will: ``n`` to train, ``val`` and ``test`` beside them.

    ``velocities`` is the number of training states, drawn at random, whose true velocity is known.
    """

    velocity: Callable[[Tensor], Tensor] | None = None

    def __init__(
        self,
        n: int = 10_000,
        val: int = 1000,
        test: int = 2000,
        seed: int = 0,
        velocities: int | None = None,
        **loader: int,
    ):
        super().__init__(seed, **loader)
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

    def sample(self, n: int) -> Sample:
        """``n`` raw states, the same for the same seed."""
        raise NotImplementedError

    def load(self) -> Snapshots:
        x, groups = self.sample(self.n + self.val + self.test)
        snapshots = split(x, self.val, self.test, self.seed, self.velocity, groups)
        return (
            replace(snapshots, known_velocities=self._velocities(snapshots))
            if self.velocities
            else snapshots
        )

    def _velocities(self, snapshots: Snapshots) -> KnownVelocities:
        """Fewer are a part of more: curves over their number are of one draw."""
        train = snapshots.train  # a few more or less than n: no run is cut
        order = torch.randperm(len(train), generator=generator(self.seed, Draws.VELOCITIES))
        x = train[order[: self.velocities]]
        assert snapshots.velocity is not None
        return KnownVelocities(x, snapshots.velocity(x))
