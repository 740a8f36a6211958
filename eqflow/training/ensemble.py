"""Training of an ensemble: many velocity fields at once, on the same batches and noise."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call, vmap
from torch.utils.data import DataLoader

from eqflow.fields import Ensemble
from eqflow.runtime import check_memory
from eqflow.training.batches import Batch
from eqflow.training.stage import StageModule

MEMBER_STATES_AT_ONCE = 8192
"""States times members that are evaluated together: more would leave the processor's cache."""


class EnsembleModule(StageModule):
    """Trains the members of an ensemble together, each as ``alone`` would train that one field.

    The loss is the sum of the members' losses. Their gradients do not mix, and what they share, the
    batch with its noise and the score there, is computed once. Needs a single process, since
    collective operations cannot be vectorised. Raises ``InputError`` at the start of a training
    that memory does not suffice for.
    """

    stage = "flow"

    def __init__(self, alone: StageModule, ensemble: Ensemble) -> None:
        super().__init__(alone.steps, alone.learning_rate, alone.warmup, alone.seed)
        self.alone, self.ensemble, self.members = alone, ensemble, len(ensemble)
        alone.field.requires_grad_(False)  # the members' numbers take its place

    def loss(self, batch: Batch, step: int) -> Float[Tensor, ""]:
        """Sum of the members' losses."""

        def member_loss(numbers: dict[str, Tensor]) -> Tensor:
            named = {f"field.{name}": value for name, value in numbers.items()}
            return functional_call(self.alone, named, (batch, step))

        members = max(1, MEMBER_STATES_AT_ONCE // len(batch.states))
        losses = vmap(member_loss, randomness="same", chunk_size=members)(self.ensemble.numbers)
        return losses.sum()

    def on_train_start(self) -> None:
        super().on_train_start()
        if self.device.type == "cpu":
            states, total = next(iter(cast(DataLoader[Batch], self.trainer.train_dataloader)))
            size = self.members * self._kept(Batch(states, total))
            check_memory(size, f"flow.ensemble={self.members} with batches of {total}")

    def _kept(self, batch: Batch) -> int:
        """Bytes that autograd keeps of one member's loss until its backward pass."""
        sizes: list[int] = []

        def keep(values: Tensor) -> Tensor:
            sizes.append(values.numel() * values.element_size())
            return values

        self.alone.field.requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda values: values):
            self.alone.loss(batch, 0)
        self.alone.field.requires_grad_(False)
        return sum(sizes)

    def on_fit_end(self) -> None:
        """Do with every member what ``alone`` does with its field after training."""
        for k in range(len(self.ensemble)):
            self.alone.field = self.ensemble[k]
            self.alone.on_fit_end()
            self.ensemble.put(k, self.alone.field)
