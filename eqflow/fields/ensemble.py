"""Ensembles: several fields of one architecture, evaluated and trained together."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from functools import partial
from threading import RLock

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from eqflow.fields.base import VelocityField

MEDOID_STATES = 2048
"""States at which members are compared to find the medoid."""


FORM_LOCK = RLock()
"""Held while the shared module has the parameters of members, as threads may evaluate at once."""


class Ensemble(VelocityField):
    """Several fields of one architecture, their parameters stacked along a first dimension.

    As a velocity field it is its *medoid*, the member that is most like the others, which
    :meth:`normalise_` finds; :meth:`every` gives the velocities of all, ``ensemble[k]`` one member.
    """

    medoid: Tensor
    centred = False

    def __init__(self, members: Sequence[VelocityField]) -> None:
        super().__init__(members[0].shape)
        self.sigma, self.members = members[0].sigma, len(members)
        self._form = [deepcopy(members[0]).to("meta")]  # in a list: it holds no numbers of its own
        parameters, buffers = stack_module_state(list(members))
        self.names = [*parameters, *buffers]
        self.stack = nn.Module()
        for name, values in parameters.items():
            self.stack.register_parameter(_flat(name), nn.Parameter(values.detach()))
        for name, values in buffers.items():
            self.stack.register_buffer(_flat(name), values)
        self.register_buffer("medoid", torch.zeros((), dtype=torch.long))

    def __len__(self) -> int:
        return self.members

    @property
    def numbers(self) -> dict[str, Float[Tensor, "members *size"]]:
        """Parameters and buffers of all members, by their name in a single one."""
        return {name: getattr(self.stack, _flat(name)) for name in self.names}

    @torch.no_grad()
    def __getitem__(self, k: int) -> VelocityField:
        """A copy of one member."""
        if not -len(self) <= k < len(self):
            raise IndexError(k)
        with FORM_LOCK:
            member = deepcopy(self._form[0])
        member.to_empty(device=self.mean.device)
        member.requires_grad_(False)
        for name, values in _numbers(member).items():
            values.copy_(self.numbers[name][k])
        return member

    @torch.no_grad()
    def put(self, k: int, member: VelocityField) -> None:
        """Replace the parameters and buffers of member ``k`` by those of ``member``."""
        for name, values in _numbers(member).items():
            self.numbers[name][k].copy_(values)

    def at_common_states(
        self, x: Float[Tensor, "batch *shape"]
    ) -> Float[Tensor, "members batch *shape"]:
        """Velocities of all members at the same states."""
        return self.at_own_states(x.expand(len(self), *x.shape))

    def at_own_states(
        self, x: Float[Tensor, "members batch *shape"]
    ) -> Float[Tensor, "members batch *shape"]:
        """Velocities of every member at states of its own."""
        with FORM_LOCK:
            return vmap(partial(functional_call, self._form[0]))(self.numbers, x)

    def unscaled(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        chosen = {name: values[self.medoid] for name, values in self.numbers.items()}
        with FORM_LOCK:
            return functional_call(self._form[0], chosen, x)

    @torch.no_grad()
    def normalise_(self, batches: Iterable[Tensor]) -> "Ensemble":
        """Fix mean and scale of every member, and find the medoid."""
        batches = list(batches)
        for k in range(len(self)):
            self.put(k, self[k].normalise_(batches))
        likeness = self.cosines(batches[0][:MEDOID_STATES]).abs().sum(1)
        self.medoid.copy_(likeness.argmax())
        return self

    @torch.no_grad()
    def cosines(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "members members"]:
        """Signed cosines between all members over states ``x``."""
        rows = nn.functional.normalize(self.at_common_states(x).flatten(1), dim=1)
        return rows @ rows.T


def _flat(name: str) -> str:
    return name.replace(".", "__")


def _numbers(field: VelocityField) -> dict[str, Tensor]:
    return {**dict(field.named_parameters()), **dict(field.named_buffers())}
