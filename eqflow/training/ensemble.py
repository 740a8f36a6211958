"""Training of many fields at once, on the same batches."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call, vmap
from torch.utils.data import DataLoader

from eqflow.fields import Ensemble
from eqflow.runtime import check_memory
from eqflow.training.batches import Batch
from eqflow.training.modules import StageModule

ROWS = 8192
"""States, times members, that are worked on together: more leave the processor's cache."""


class EnsembleModule(StageModule):
    """Trains every member of an ensemble as ``alone``, a module of one field, trains that one.

    The loss is the sum of the members': their gradients do not mix, and what the members share, the
    batch, its noise and the score there, is computed once. In one process: collective operations
    are not vectorised. Raises ``InputError`` where memory does not suffice.
    """

    stage = "flow"

    def __init__(self, alone: StageModule, ensemble: Ensemble) -> None:
        super().__init__(alone.steps, alone.learning_rate, alone.warmup, alone.seed)
        self.alone, self.ensemble, self.members = alone, ensemble, len(ensemble)
        alone.field.requires_grad_(False)  # whose place the members' numbers take

    def loss(self, batch: Batch, step: int) -> Float[Tensor, ""]:
        """Sum of the members' losses."""

        def one(numbers: dict[str, Tensor]) -> Tensor:
            named = {f"field.{name}": value for name, value in numbers.items()}
            return functional_call(self.alone, named, (batch, step))

        at_once = max(1, ROWS // len(batch.states))
        return vmap(one, randomness="same", chunk_size=at_once)(self.ensemble.numbers).sum()

    def on_train_start(self) -> None:
        super().on_train_start()
        if self.device.type == "cpu":
            states, total = next(iter(cast(DataLoader[Batch], self.trainer.train_dataloader)))
            size = self.members * self._kept(Batch(states, total))
            check_memory(size, f"flow.ensemble={self.members} with batches of {total}")

    def _kept(self, batch: Batch) -> int:
        """Bytes that one member keeps for its backward pass."""
        sizes: list[int] = []

        def keep(values: Tensor) -> Tensor:
            sizes.append(values.numel() * values.element_size())
            return values

        self.alone.field.requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda values: values):
            self.alone.loss(batch, 0)
        self.alone.field.requires_grad_(False)
        return sum(sizes)

    def on_train_end(self) -> None:
        for k in range(len(self.ensemble)):
            self.alone.field = self.ensemble[k]
            self.alone.on_train_end()
            self.ensemble.put(k, self.alone.field)
