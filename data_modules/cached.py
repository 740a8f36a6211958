"""Sets of images that are made once and kept on disk."""

import logging
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data_modules.base import SyntheticModule
from eqflow.errors import InputError
from eqflow.runtime import check_disk, store
from eqflow.systems import Sample
from eqflow.version import __version__

log = logging.getLogger("eqflow")


class CachedImages(SyntheticModule):
    """Images that are made once and kept below ``cache_dir``, from where they are mapped.

    A subclass sets ``shape``, implements :meth:`key` and :meth:`batches`, and ends its constructor
    with :meth:`check_room`.

    Args:
        n: Number of training images.
        val: Number of validation images.
        test: Number of held-out images.
        cache_dir: Folder of all caches.
        loader: Arguments of :class:`SyntheticModule`.
    """

    folder: Path

    def __init__(self, n: int, val: int, test: int, cache_dir: str, **loader: int) -> None:
        super().__init__(n, val, test, **loader)
        self.total = n + val + test
        self.folder = Path(cache_dir) / type(self).__module__.split(".")[-1]

    @abstractmethod
    def key(self) -> dict[str, Any]:
        """What decides the images, besides their number, the seed and the version."""

    @abstractmethod
    def batches(self, n: int) -> Iterator[Tensor]:
        """``n`` raw images, float32, a batch at a time."""

    def check_room(self) -> None:
        """Raise ``InputError`` if the images are still to be made and do not fit on the disk."""
        if not self.path(self.total).is_file():
            check_disk(self.total, self.shape, self.folder)

    def path(self, n: int) -> Path:
        """File of the cache for ``n`` images with these options."""
        key = {**self.key(), "n": n, "seed": self.seed, "version": __version__}
        return self.folder / f"{store.content_hash(key)}.npy"

    def sample(self, n: int) -> Sample:
        """``n`` raw images, float32, mapped from the cache, which is filled if needed."""
        path = self.path(n)
        with store.locked(path):
            store.remove_leftovers(path.parent, path.name)
            if path.is_file():
                log.info("data: taken from the cache")
            else:
                store.save_array(path, (n, *self.shape), self.batches(n))
        states = np.load(path, mmap_mode="c", allow_pickle=False)  # c: copy on write
        return Sample(torch.from_numpy(states))


def sides(option: str, value: int | Sequence[int]) -> tuple[int, int]:
    """Height and width of an option that may be a side.

    Raises ``InputError`` that names ``option`` for anything else.
    """
    pair = list(value) if isinstance(value, Sequence) else [value, value]
    if len(pair) != 2 or not all(isinstance(side, int) for side in pair):
        raise InputError(f"{option}={value}: expected a side, or [height, width]")
    return pair[0], pair[1]
