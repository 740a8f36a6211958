"""Data set ``snapshots``: a user's own vectors or images, from files."""

from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from data_modules.base import SnapshotsModule
from data_modules.images import as_images, read_folder
from data_modules.tables import Table, read_table
from eqflow.data import (
    KnownVelocities,
    Snapshots,
    Standardiser,
    check_sizes,
    check_states,
    checked_velocities,
    distinct,
    group_numbers,
    split,
    warn_if_not_periodic,
)
from eqflow.errors import InputError
from eqflow.runtime import check_memory

FEWEST_GROUPS = 30
"""Least number of groups: each held-out part then has the five that a test needs."""


class SnapshotsFile(SnapshotsModule):
    """Snapshots from a file of vectors or images, or from a folder of images.

    Args:
        path: Vectors in a ``.npy`` of shape ``(N, d)`` or a ``.csv`` with one state a line, whose
            first line may name the features; images in a ``.npy`` of ``(N, C, H, W)`` or
            ``(N, H, W)``, or a folder of PNG, JPEG or TIFF files of one size. Images of integers
            0..255 are scaled to 0..1, and a warning is logged if they are not periodic. Copies of a
            snapshot are left out, with a warning.
        groups: A ``.npy`` or ``.csv`` with the group of each snapshot, a number or a word, where
            several snapshots of one run are correlated.
        velocities: Raw states and velocities, in a ``.csv`` or ``.npy`` of shape ``(n, 2 d)``, or
            in a ``.npz`` of ``x`` and ``v``.
        val: Fraction of the snapshots to validate on.
        test: Fraction that is held out.
        loader: Arguments of :class:`SnapshotsModule`.

    Raises ``InputError`` for a missing or unreadable file, numbers that are not finite, constant
    features, and groups or velocities that do not fit. Nothing is unpickled.
    """

    def __init__(
        self,
        path: str,
        groups: str | None = None,
        velocities: str | None = None,
        val: float = 0.1,
        test: float = 0.2,
        **loader: int,
    ) -> None:
        super().__init__(**loader)
        for name, file in (("path", path), ("groups", groups), ("velocities", velocities)):
            if not (isinstance(file, str) or (file is None and name != "path")):
                raise InputError(f"data.{name}={file} found; expected the path of a file")
        for name, fraction in (("val", val), ("test", test)):
            if not 0 < fraction < 0.5:
                raise InputError(f"data.{name}={fraction}: expected a fraction between 0 and 0.5")
        self.path, (self.states, self.names) = path, read_states(Path(path))
        Standardiser.of(self.states, names=self.names)
        self.groups = read_groups(Path(groups), len(self.states)) if groups else None
        self.velocities = read_velocities(Path(velocities), self.states) if velocities else None
        self.shape = tuple(self.states.shape[1:])
        self.fractions = val, test
        first, second = self._held_out(len(self.states))
        check_sizes(len(self.states) - first - second, first, second)

    def _held_out(self, n: int) -> tuple[int, int]:
        """Numbers of states to validate and to test on, of ``n``."""
        val, test = self.fractions
        return int(val * n), int(test * n)

    def load(self) -> Snapshots:
        if self.states.ndim == 4:
            warn_if_not_periodic(self.states, f"data.path={self.path}")
        kept = distinct(self.states, f"data.path={self.path}")
        states, groups = self.states[kept], None if self.groups is None else self.groups[kept]
        snapshots = split(states, *self._held_out(len(states)), self.seed, groups=groups)
        units = snapshots.standardiser
        known = self.velocities and self.velocities.standardised(units.mean, units.std)
        return replace(snapshots, known_velocities=known, names=self.names)


def read_states(path: Path) -> tuple[Tensor, tuple[str, ...] | None]:
    """Raw states of a file or folder: vectors in float64, images in float32.

    Also the names of the features, where a ``.csv`` gives them.
    """
    names = None
    if path.is_dir():
        states = read_folder(path)
    else:
        array, names = _read(path, "data.path")
        images = array.ndim in (3, 4)
        states = as_images(array, path) if images else torch.from_numpy(array.astype(np.float64))
    if names and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(
            f"data.path={path}: two columns are named {twice!r}; expected different names"
        )
    if not len(states):
        raise InputError(f"data.path={path}: no snapshots found; expected one state a row")
    check_states(states, f"data.path={path}")
    return states, names


def read_groups(path: Path, n: int) -> Int[Tensor, " n"]:
    """Groups of ``n`` snapshots as numbers from 0, from a file with one name for each."""
    names = _names(path)
    if len(names) == n + 1 and path.suffix == ".csv":  # the first line is a heading
        names = names[1:]
    groups = group_numbers(names, f"data.groups={path}")
    distinct = len(groups.unique())
    if len(groups) != n or distinct < FEWEST_GROUPS:
        raise InputError(
            f"data.groups={path}: {len(groups)} names of {distinct} groups found; expected one "
            f"for each of {n} snapshots, and at least {FEWEST_GROUPS} groups"
        )
    return groups


def _names(path: Path) -> np.ndarray:
    """The name of the group of each snapshot."""
    if path.suffix == ".csv" and path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        return np.array([line.strip() for line in lines if line.strip()])
    return _read(path, "data.groups", "iufU").numbers.flatten()


def read_velocities(path: Path, states: Tensor) -> KnownVelocities:
    """Known velocities of a file, raw, checked against the raw snapshots ``states``."""
    option = f"data.velocities={path}"
    if path.suffix == ".npz":
        x, v = _read_pair(path)
    else:
        array = torch.from_numpy(_read(path, "data.velocities").numbers.astype(np.float64))
        if array.ndim != 2 or array.shape[1] % 2:
            raise InputError(
                f"{option}: an array of shape {tuple(array.shape)} found; expected (n, 2 d), a "
                "state and its velocity a row"
            )
        x, v = array.chunk(2, dim=1)
    return checked_velocities(x, v, states, option)


def _read_pair(path: Path) -> tuple[Tensor, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as file:
            x, v = (torch.from_numpy(file[name].astype(np.float64)) for name in ("x", "v"))
    except (OSError, ValueError, TypeError, KeyError, BadZipFile) as error:
        raise InputError(
            f"data.velocities={path}: {error}; expected a .npz file of numbers x and v"
        ) from error
    return x, v


def _read(path: Path, option: str, kinds: str = "iuf") -> Table:
    """Array of a file, of numpy's ``kinds``; a ``.npy`` is mapped, and read when it is used."""
    if not path.is_file():
        raise InputError(f"{option}={path}: no such file; expected a .npy or .csv file")
    try:
        match path.suffix:
            case ".npy":
                table = Table(np.load(path, mmap_mode="r", allow_pickle=False), None)
            case ".csv":
                table = read_table(path, option)
            case _:
                raise ValueError(f"suffix {path.suffix}")
        if table.numbers.dtype.kind not in kinds:
            raise ValueError(f"numbers of type {table.numbers.dtype}")
    except InputError:
        raise
    except (ValueError, TypeError, OSError) as error:
        raise InputError(
            f"{option}={path}: {error}; expected a .npy or .csv file of numbers"
        ) from error
    size = (8 if table.numbers.ndim > 2 else 12) * table.numbers.size
    check_memory(size, f"{option}={path}: the set")
    return table
