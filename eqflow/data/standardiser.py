"""Snapshots split, standardised, and with their true velocity where it is known."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from eqflow.errors import InputError
from eqflow.runtime import chunks

Velocity = Callable[[Tensor], Tensor]


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
