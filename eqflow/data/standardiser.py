"""Standardised coordinates ``z = (x - mean) / std`` of states and velocities."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from eqflow.errors import InputError
from eqflow.runtime import chunks

ROUNDING_ERROR = 1e-12
"""Standard deviation over mean up to which a feature is taken for constant."""

Velocity = Callable[[Tensor], Tensor]


class Standardiser(nn.Module):
    """Affine map between raw states ``x`` and standardised ones, ``z = (x - mean) / std``.

    Mean and standard deviation belong to each feature of a vector ``(d,)``, or to each channel of
    an image ``(C, H, W)``, and broadcast over the grid. A velocity converts as
    ``dx/dt = std dz/dt``.

    >>> units = Standardiser.of(torch.tensor([[0.0, 5.0], [2.0, 7.0]]))
    >>> units.raw(units.standard(torch.tensor([[3.0, 3.0]])))
    tensor([[3., 3.]], dtype=torch.float64)
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Float[Tensor, "*shape"], std: Float[Tensor, "*shape"]) -> None:
        super().__init__()
        self.register_buffer("mean", mean.double())
        self.register_buffer("std", std.double())

    @classmethod
    def of(
        cls,
        x: Float[Tensor, "batch *shape"],
        rows: Int[Tensor, " n"] | None = None,
        names: Sequence[str] | None = None,
    ) -> "Standardiser":
        """Standardiser with the statistics of raw states, or of ``rows`` of them.

        Sums are taken a chunk at a time, in float64. Raises ``InputError`` for a feature or channel
        that does not vary, by its name or counted from 1.
        """
        rows = torch.arange(len(x)) if rows is None else rows
        units, total = channelwise(tuple(x.shape[1:])), len(rows) * x[0, 0].numel()

        def group_sums(function: Callable[[Tensor], Tensor]) -> Tensor:
            parts = (function(x[k].double()) for k in chunks(rows, tuple(x.shape[1:])))
            return torch.stack([part.sum((0, *range(2, x.ndim))) for part in parts]).sum(0)

        mean = group_sums(lambda part: part) / total
        square = group_sums(lambda part: (part - mean.view(units)).square())
        std = (square / (total - 1)).sqrt()
        constant = (~(std > ROUNDING_ERROR * mean.abs())).nonzero().flatten().tolist()
        if constant:
            kind, first = "channel" if x.ndim > 2 else "feature", constant[0]
            found = names[first] if names else f"{first + 1} of {len(std)}"
            raise InputError(
                f"data: {kind} {found} is constant; expected {kind}s that vary, remove it"
            )
        return cls(mean.view(units), std.view(units))

    def standard(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        """Standardised states of raw ones; float64, as raw data may have a large offset."""
        return (x.double() - self.mean.to(x.device)) / self.std.to(x.device)

    def raw(self, z: Float[Tensor, "*batch_shape"]) -> Float[Tensor, "*batch_shape"]:
        """Raw states of standardised ones, float64."""
        return z * self.std.to(z.device) + self.mean.to(z.device)

    def standard_velocity(self, velocity: Velocity) -> Velocity:
        """``z -> velocity(x) / std``: a velocity in raw units as one in standardised units."""
        return lambda z: (velocity(self.raw(z)) / self.std.to(z.device)).to(z.dtype)

    def raw_velocity(self, velocity: Velocity) -> Velocity:
        """``x -> std velocity(z)``: a velocity of standardised float32 states in raw units."""
        return lambda x: velocity(self.standard(x).float()) * self.std.to(x.device)


def channelwise(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of statistics of states of ``shape``: ``(d,)`` of vectors, ``(C, 1, 1)`` of images."""
    return (shape[0],) + (1,) * (len(shape) - 1)
