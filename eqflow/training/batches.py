"""Batches of states: the same global batches for any number of processes."""

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from eqflow.runtime import Draws, generator, rows


class Batch(NamedTuple):
    """This process's rows of one global batch of ``total`` states."""

    states: Tensor
    total: int


class BatchSampler(Sampler[tuple[Tensor, int]]):
    """Indices of shuffled global batches; an *epoch* is ``steps`` batches, not a pass.

    The order is a function of seed and step alone, so that a training resumed at ``first_step``
    sees what an uninterrupted one would. The last batch of a pass over the data may be smaller.
    Yields this process's indices and the size of the global batch.
    """

    def __init__(self, size: int, batch_size: int, steps: int, seed: int) -> None:
        self.size, self.batch_size, self.steps, self.seed = size, batch_size, steps, seed
        self.first_step = 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        batches_per_pass = -(-self.size // self.batch_size)
        order, shuffled = torch.empty(0), -1
        for step in range(self.first_step, self.first_step + self.steps):
            cycle, place = divmod(step, batches_per_pass)
            if cycle != shuffled:
                shuffle = generator(self.seed, Draws.ORDER, cycle)
                order, shuffled = torch.randperm(self.size, generator=shuffle), cycle
            batch = order[place * self.batch_size : (place + 1) * self.batch_size]
            yield batch[rows(len(batch))], len(batch)


class _States(Dataset[Batch]):
    """Batches cut from one tensor of states by their indices."""

    def __init__(self, states: Tensor) -> None:
        self.states = states

    def __getitem__(self, item: tuple[Tensor, int]) -> Batch:
        index, total = item
        return Batch(self.states[index], total)


def train_loader(states: Tensor, batch_size: int, steps: int, seed: int) -> DataLoader[Batch]:
    """Batches of ``states`` in shuffled order, ``steps`` of them an epoch."""
    sampler = BatchSampler(len(states), min(batch_size, len(states)), steps, seed)
    return DataLoader(_States(states), sampler=sampler, batch_size=None)


def val_loader(states: Tensor, batch_size: int) -> DataLoader[Batch]:
    """All of ``states`` once, in order, this process's rows of each batch."""
    chunks = torch.arange(len(states)).split(batch_size)
    batches = [(chunk[rows(len(chunk))], len(chunk)) for chunk in chunks]
    return DataLoader(_States(states), sampler=batches, batch_size=None)


STATES_AT_ONCE = 8192
"""Vectors in a batch of a pass that takes sums only; there are fewer images."""


def pass_size(shape: tuple[int, ...]) -> int:
    """Number of states of ``shape`` in a batch of a pass that takes sums: memory is bounded."""
    return max(1, min(STATES_AT_ONCE, 2**20 // prod(shape)))


def noised_batches(
    states: Float[Tensor, "n *shape"], sigma: float
) -> Iterator[Float[Tensor, "batch *shape"]]:
    """Batches of one pass over standardised ``states``, noised at ``sigma``, to normalise a field.

    The noise is the same for every field.
    """
    for step, x in enumerate(states.split(pass_size(tuple(states.shape[1:])))):
        draw = generator(0, Draws.NORMALISATION, step, x.device)
        yield x + sigma * torch.randn(x.shape, generator=draw, dtype=x.dtype, device=x.device)
