"""Estimates of free memory and disk, and arrays that may be larger than memory."""

import os
import sys
from collections.abc import Iterator
from math import prod
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryFile

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.errors import InputError

CHUNK_SIZE = 2**22
"""Numbers that are processed at once where a data set may be larger than memory."""


USABLE_SHARE = 0.8
"""Share of the free memory, or of a free disk, that one data set may fill."""


CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""File in which Linux keeps the bytes that a container may use, or the word ``max``."""


def free_memory() -> int:
    """Bytes that this machine, or the container that this process runs in, can still give."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    if (info := Path("/proc/meminfo")).is_file():
        fields = dict(line.split(":") for line in info.read_text().splitlines())
        limits.append(1024 * int(fields["MemAvailable"].split()[0]))
    if CGROUP_LIMIT.is_file() and (limit := CGROUP_LIMIT.read_text().strip()).isdigit():
        used = int(CGROUP_LIMIT.with_name("memory.current").read_text())
        statistics = CGROUP_LIMIT.with_name("memory.stat").read_text().splitlines()
        sizes = dict(line.split() for line in statistics)
        cached = sum(int(sizes.get(name, 0)) for name in ("inactive_file", "active_file"))
        limits.append(int(limit) - used + cached)
    return max(0, min(limits))


def fits_in_memory(size: float) -> bool:
    """Whether ``size`` bytes are at most ``USABLE_SHARE`` of the free memory."""
    return size <= USABLE_SHARE * free_memory()


def check_memory(size: float, what: str) -> None:
    """Raise ``InputError``, naming ``what``, if ``size`` bytes do not fit in memory."""
    if not fits_in_memory(size):
        raise InputError(
            f"{what} takes about {readable(size)} of memory, {readable(free_memory())} are free; "
            "expected a smaller one"
        )


def check_disk(n: int, shape: tuple[int, ...], folder: Path) -> None:
    """Raise ``InputError`` if ``n`` float32 states do not fit on the disk of ``folder``.

    States that do not fit in memory are stored twice: raw, and standardised.
    """
    size = 4 * n * prod(shape)
    needed, place = size if fits_in_memory(size) else 2 * size, folder.absolute()
    while not place.exists():
        place = place.parent
    free = disk_usage(place).free
    if needed > USABLE_SHARE * free:
        raise InputError(
            f"data: {n} states of shape {shape} take about {readable(needed)} on disk, "
            f"{readable(free)} are free in {place}; expected fewer or smaller ones, or another "
            "cache_dir"
        )


def readable(size: float) -> str:
    """A number of bytes as text, in GB or MB.

    >>> readable(2.5e9), readable(300_000)
    ('2.5 GB', '0.3 MB')
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def allocate(shape: tuple[int, ...], folder: Path | None = None) -> Float[Tensor, "..."]:
    """An uninitialised float32 tensor: in memory if it fits, else mapped from a file in ``folder``.

    The file has no name; the system pages it in and out, and removes it with its last user. Its
    space is reserved at once, so that a full disk is an ``OSError`` here and not a crash later.
    Raises ``InputError`` for a tensor that does not fit in memory if ``folder`` is None.
    """
    size = 4 * prod(shape)
    if folder is None or fits_in_memory(size):
        check_memory(size, "data: the set")
        return torch.empty(shape)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder) as file:
        if sys.platform == "linux":
            os.posix_fallocate(file.fileno(), 0, size)
        file.truncate(size)
        return torch.from_numpy(np.memmap(file, np.float32, "r+", shape=shape))


def chunks(rows: Int[Tensor, " n"], shape: tuple[int, ...]) -> Iterator[Int[Tensor, " k"]]:
    """``rows`` in pieces such that states of ``shape`` hold at most ``CHUNK_SIZE`` numbers.

    A piece has one row at least.
    """
    yield from rows.split(max(1, CHUNK_SIZE // prod(shape)))
