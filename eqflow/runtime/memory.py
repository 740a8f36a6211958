"""How much memory there is, and arrays that may be larger."""

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

CHUNK = 2**22
"""Numbers that are worked on at once where a set may be larger than memory."""


SPARE = 0.8
"""Share of the free memory that one set may fill."""


LIMIT = Path("/sys/fs/cgroup/memory.max")
"""Where Linux keeps the bytes that a container may use, or ``max``."""


def free_memory() -> int:
    """Bytes that this machine, or this container, can still give."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = [int(total)]
    if (info := Path("/proc/meminfo")).is_file():
        fields = dict(line.split(":") for line in info.read_text().splitlines())
        found.append(1024 * int(fields["MemAvailable"].split()[0]))
    if LIMIT.is_file() and (limit := LIMIT.read_text().strip()).isdigit():
        used = LIMIT.with_name("memory.current").read_text()
        cached = _statistic("inactive_file") + _statistic("active_file")
        found.append(int(limit) - int(used) + cached)
    return max(0, min(found))


def _statistic(name: str) -> int:
    lines = LIMIT.with_name("memory.stat").read_text().splitlines()
    return int(dict(line.split() for line in lines).get(name, 0))


def fits(size: float) -> bool:
    """Whether ``size`` bytes are well within the free memory."""
    return size <= SPARE * free_memory()


def check_memory(size: float, what: str) -> None:
    """Refuse ``what`` would take ``size`` bytes of memory that are not there."""
    if not fits(size):
        raise _too_large(size, what)


def _too_large(size: float, what: str) -> InputError:
    return InputError(
        f"{what} takes about {readable(size)} of memory, {readable(free_memory())} are free; "
        "expected a smaller one"
    )


def check_disk(n: int, shape: tuple[int, ...], folder: Path) -> None:
    """Refuse ``n`` states of ``shape`` that do not fit on the disk of ``folder``.

    It takes them as they are, and standardised where those do not fit in memory.
    """
    size = 4 * n * prod(shape)
    needed, place = size if fits(size) else 2 * size, folder.absolute()
    while not place.exists():
        place = place.parent
    free = disk_usage(place).free
    if needed > SPARE * free:
        raise InputError(
            f"data: {n} states of shape {shape} take about {readable(needed)} on disk, "
            f"{readable(free)} are free in {place}; expected fewer or smaller ones, or another "
            "cache_dir"
        )


def readable(size: float) -> str:
    """A number of bytes for people, in GB or MB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def room(shape: tuple[int, ...], folder: Path | None = None) -> Float[Tensor, "..."]:
    """A float32 tensor to be filled: in memory if it fits, else in a nameless file in ``folder``.

    The system pages such a file in and out, and removes it with its last user. A disk too small is
    an ``OSError`` here and not later; without a ``folder`` the set is refused.
    """
    size = 4 * prod(shape)
    if fits(size):
        return torch.empty(shape)
    if folder is None:
        raise _too_large(size, "data: the set")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder) as file:
        if sys.platform == "linux":
            os.posix_fallocate(file.fileno(), 0, size)
        file.truncate(size)
        return torch.from_numpy(np.memmap(file, np.float32, "r+", shape=shape))


def chunks(rows: Int[Tensor, " n"], shape: tuple[int, ...]) -> Iterator[Int[Tensor, " k"]]:
    """Row numbers of states of ``shape``, no more at once than ``CHUNK`` numbers (or one state)."""
    yield from rows.split(max(1, CHUNK // prod(shape)))
