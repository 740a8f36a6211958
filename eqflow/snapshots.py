"""Snapshots split, standardised, and with their true velocity where it is known."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from eqflow.errors import InputError
from eqflow.groups import boundary, shuffled
from eqflow.labels import Labels
from eqflow.memory import chunks, room
from eqflow.processes import Draws, generator

Velocity = Callable[[Tensor], Tensor]
Result = TypeVar("Result")


class Standardiser(nn.Module):
    """Raw and standardised units: ``z = (x - mean) / std``, per feature or per channel.

    For states of shape ``(C, H, W)`` the statistics are per channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Float[Tensor, "*shape"], std: Float[Tensor, "*shape"]) -> None:
        super().__init__()
        self.register_buffer("mean", mean.double())
        self.register_buffer("std", std.double())

    @classmethod
    def of(
        cls, x: Float[Tensor, "batch *shape"], rows: Int[Tensor, " n"] | None = None
    ) -> "Standardiser":
        """Fitted on raw states, or ``rows`` of them, a chunk at a time.

        Raises ``InputError`` for a feature that does not vary.
        """
        rows = torch.arange(len(x)) if rows is None else rows
        units, total = channelwise(tuple(x.shape[1:])), len(rows) * x[0, 0].numel()

        def summed(function: Callable[[Tensor], Tensor]) -> Tensor:
            parts = (function(x[k].double()) for k in chunks(rows, tuple(x.shape[1:])))
            return torch.stack([part.sum((0, *range(2, x.ndim))) for part in parts]).sum(0)

        mean = summed(lambda part: part) / total
        square = summed(lambda part: (part - mean.view(units)).square())
        std = (square / (total - 1)).sqrt()
        constant = (~(std > 1e-10 * (1 + mean.abs()))).nonzero().flatten().tolist()
        if constant:
            name = "channel" if x.ndim > 2 else "feature"
            raise InputError(
                f"data: {name} {constant[0]} is constant; expected {name}s that vary, remove it"
            )
        return cls(mean.view(units), std.view(units))

    def standard(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        """Raw states to standardised ones, float64: raw data may have a large offset."""
        return (x.double() - self.mean.to(x.device)) / self.std.to(x.device)

    def raw(self, z: Float[Tensor, "*batch_shape"]) -> Float[Tensor, "*batch_shape"]:
        """Standardised states to raw ones, float64."""
        return z * self.std.to(z.device) + self.mean.to(z.device)

    def standard_velocity(self, velocity: Velocity) -> Velocity:
        """A velocity in raw units as one in standardised units, ``dz/dt = (dx/dt) / std``."""
        return lambda z: (velocity(self.raw(z)) / self.std.to(z.device)).to(z.dtype)

    def raw_velocity(self, velocity: Velocity) -> Velocity:
        """A velocity of standardised float32 states as one of raw states, ``dx/dt = std dz/dt``."""
        return lambda x: velocity(self.standard(x).float()) * self.std.to(x.device)


def channelwise(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of one number for each feature of a vector, or for each channel of an image."""
    return (shape[0],) + (1,) * (len(shape) - 1)


_MOVED = ("train", "val", "test", "train_groups", "test_groups")


@dataclass(frozen=True, eq=False)
class Snapshots:
    """A data set as learning sees it: standardised splits, ``(n, *shape)`` each, float32.

    ``velocity`` is the true velocity in standardised units, or None; ``alternatives`` are those of
    other systems, by name, that a field may be compared with. ``train_groups`` and ``test_groups``
    label correlated snapshots, side by side; None if all are independent. ``labels`` are states of
    known velocity, standardised.
    """

    train: Tensor
    val: Tensor
    test: Tensor
    standardiser: Standardiser
    velocity: Velocity | None = None
    train_groups: Tensor | None = None
    test_groups: Tensor | None = None
    alternatives: dict[str, Velocity] | None = None
    labels: Labels | None = None
    memory: dict[Hashable, Any] = field(default_factory=dict, repr=False)

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
        return replace(self, **moved, labels=self.labels and self.labels.to(device), memory={})


def remembered(function: Callable[..., Result]) -> Callable[..., Result]:
    """Keep what a function of snapshots and hashable arguments gave, for as long as they live.

    A thread that asks for what another is at waits for it.
    """

    @wraps(function)
    def recall(snapshots: Snapshots, *arguments: Hashable) -> Result:
        key = (function.__module__, function.__name__, *arguments)
        with snapshots.memory.setdefault(("lock", *key), RLock()):
            if key not in snapshots.memory:
                snapshots.memory[key] = function(snapshots, *arguments)
            return snapshots.memory[key]

    return recall


def split(
    x: Float[Tensor, "n *shape"],
    val: int,
    test: int,
    seed: int = 0,
    velocity: Velocity | None = None,
    groups: Int[Tensor, " n"] | None = None,
    folder: Path | None = None,
) -> Snapshots:
    """Shuffle raw snapshots and split off ``val`` and ``test`` of them; the rest trains.

    The standardiser sees the training split only. ``velocity`` takes and returns raw units.
    ``groups`` label correlated snapshots: none is cut, so that sizes may be a few off. A set larger
    than memory is mapped from a nameless file in ``folder``. Raises ``InputError`` for non-finite
    values, constant features and splits that leave too few states.
    """
    check_states(x)
    order = shuffled(len(x), groups, generator(seed, Draws.DATA))
    labels = None if groups is None else groups[order]
    first = boundary(val, labels)
    second = boundary(first + test, labels)
    check_sizes(len(x) - second, first, second - first)
    standardiser = Standardiser.of(x, order[second:])
    z = room(tuple(x.shape), folder)
    for k in chunks(torch.arange(len(x)), tuple(x.shape[1:])):
        z[k] = standardiser.standard(x[order[k]]).float()

    return Snapshots(
        train=z[second:],
        val=z[:first],
        test=z[first:second],
        standardiser=standardiser,
        velocity=None if velocity is None else standardiser.standard_velocity(velocity),
        train_groups=None if labels is None else labels[second:],
        test_groups=None if labels is None else labels[first:second],
    )


def measured(snapshots: Snapshots, noise: float, seed: int = 0) -> Snapshots:
    """The same with the noise of a measurement, in place, and standardised anew.

    ``noise``, a fraction of each channel's standard deviation, is added to the training and
    validation splits. The test split stays clean: a true velocity is one of clean states.
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
        memory={},
    )


def check_sizes(train: int, val: int, test: int) -> None:
    """Refuse splits too small to train, validate or test on."""
    if train < 2 or val < 1 or test < 4:
        raise InputError(
            f"data: found {train} snapshots to train, {val} to validate and {test} to test; "
            "expected at least 2, 1 and 4"
        )


def check_states(x: Tensor, name: str = "data") -> None:
    """Refuse what is not a set of finite states."""
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
