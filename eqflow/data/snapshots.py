"""Snapshots: a data set split, standardised, and with its true velocity where that is known."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.data.groups import group_boundary, random_order
from eqflow.data.standardiser import Standardiser, Velocity
from eqflow.data.velocities import KnownVelocities
from eqflow.errors import InputError
from eqflow.icons import Scene
from eqflow.runtime import Draws, allocate, chunks, generator

_MOVED = ("train", "val", "test", "train_groups", "test_groups")


@dataclass(frozen=True, eq=False)
class Snapshots:
    """A data set split for training, validation and test, standardised; ``(n, *shape)``, float32.

    Args:
        train: States that scores and fields are fitted on.
        val: States that validate the training.
        test: Held-out states; all measures are taken there.
        standardiser: Statistics of the training split.
        velocity: True velocity in standardised units, or None if it is unknown.
        train_groups: Groups of correlated training states, which are neighbours; None if all
            states are independent.
        test_groups: The same of the test split.
        alternatives: Velocities of other systems, by name, that a field is compared with.
        known_velocities: Standardised states whose velocity is given, or None.
        names: Names of the features, or None where the data have none.
        scene: Icons and background that raw images are made of, or None.
    """

    train: Tensor
    val: Tensor
    test: Tensor
    standardiser: Standardiser
    velocity: Velocity | None = None
    train_groups: Tensor | None = None
    test_groups: Tensor | None = None
    alternatives: dict[str, Velocity] | None = None
    known_velocities: KnownVelocities | None = None
    names: tuple[str, ...] | None = None
    scene: Scene | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one state."""
        return tuple(self.train.shape[1:])

    def to(self, device: torch.device | str) -> "Snapshots":
        """The same snapshots on another device."""
        if self.train.device == torch.device(device):
            return self
        parts = {name: getattr(self, name) for name in _MOVED}
        moved = {name: part.to(device) for name, part in parts.items() if part is not None}
        return replace(
            self,
            **moved,
            known_velocities=self.known_velocities and self.known_velocities.to(device),
        )


def split(
    x: Float[Tensor, "n *shape"],
    val: int,
    test: int,
    seed: int = 0,
    velocity: Velocity | None = None,
    groups: Int[Tensor, " n"] | None = None,
    folder: Path | None = None,
) -> Snapshots:
    """Split raw snapshots ``x`` at random, and standardise them by the training split.

    Args:
        x: Raw states.
        val: Number of states to validate on. A group is never divided, so that this number and
            the next may be exceeded by a few.
        test: Number of held-out states; the others are trained on.
        seed: Seed of the random order.
        velocity: True velocity, of raw states in raw units, or None.
        groups: Groups of correlated snapshots, or None.
        folder: Where a set that is larger than memory is kept in a file without a name.

    Raises ``InputError`` for numbers that are not finite, constant features and splits that are too
    small.
    """
    check_states(x)
    order = random_order(len(x), groups, generator(seed, Draws.DATA))
    ordered = None if groups is None else groups[order]
    first = group_boundary(val, ordered)
    second = group_boundary(first + test, ordered)
    check_sizes(len(x) - second, first, second - first)
    standardiser = Standardiser.of(x, order[second:])
    z = allocate(tuple(x.shape), folder)
    for k in chunks(torch.arange(len(x)), tuple(x.shape[1:])):
        z[k] = standardiser.standard(x[order[k]]).float()

    return Snapshots(
        train=z[second:],
        val=z[:first],
        test=z[first:second],
        standardiser=standardiser,
        velocity=None if velocity is None else standardiser.standard_velocity(velocity),
        train_groups=None if ordered is None else ordered[second:],
        test_groups=None if ordered is None else ordered[first:second],
    )


def add_measurement_noise(snapshots: Snapshots, noise: float, seed: int = 0) -> Snapshots:
    """Snapshots measured with Gaussian noise, standardised anew; changes the splits in place.

    ``noise`` is a fraction of each feature's or channel's standard deviation. It is added to the
    training and validation splits; the test split stays clean, because the true velocity is one of
    clean states.
    """
    for part, z in enumerate((snapshots.train, snapshots.val)):
        for step, k in enumerate(chunks(torch.arange(len(z)), snapshots.shape)):
            draw = generator(seed, Draws.MEASUREMENT, 2 * step + part)
            z[k] += noise * torch.randn(z[k].shape, generator=draw)
    again, before = Standardiser.of(snapshots.train), snapshots.standardiser
    for z in (snapshots.train, snapshots.val, snapshots.test):
        for k in chunks(torch.arange(len(z)), snapshots.shape):
            z[k] = again.standard(z[k]).float()
    velocity = snapshots.velocity
    return replace(
        snapshots,
        standardiser=Standardiser(before.raw(again.mean), before.std * again.std),
        velocity=velocity and again.standard_velocity(velocity),
    )


def check_sizes(train: int, val: int, test: int) -> None:
    """Raise ``InputError`` for splits too small to train, validate or test on."""
    if train < 2 or val < 1 or test < 4:
        raise InputError(
            f"data: found {train} snapshots to train, {val} to validate and {test} to test; "
            "expected at least 2, 1 and 4"
        )


def check_states(x: Tensor, name: str = "data") -> None:
    """Raise ``InputError``, naming ``name``, unless ``x`` is a set of finite vectors or images."""
    if x.ndim not in (2, 4):
        raise InputError(
            f"{name}: found an array of shape {tuple(x.shape)}; expected (N, d) or (N, C, H, W)"
        )
    if x[:1].numel() == 1:
        raise InputError(
            f"{name}: found states of one dimension, where only a velocity of zero keeps a "
            "distribution; expected at least two"
        )
    parts = (x[k].flatten(1) for k in chunks(torch.arange(len(x)), tuple(x.shape[1:])))
    bad = sum(int((~part.isfinite().all(1)).sum()) for part in parts)
    if bad:
        raise InputError(
            f"{name}: {bad} of {len(x)} snapshots hold NaN or infinity; expected finite numbers"
        )
