"""Velocity fields ``v(x)`` in standardised coordinates, at unit speed.

The stationarity condition is homogeneous, so speed is a convention: ``E v = 0`` and
``E |v|^2 / d = 1`` over the training distribution (method section 4). One transit time is then one
unit of time.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from math import inf, prod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqflow.data import channelwise


class VelocityField(nn.Module, ABC):
    """Velocity field ``v(x) = scale * (unscaled(x) - mean)`` of standardised states.

    ``mean`` (per feature or per channel) and ``scale`` are buffers that :meth:`normalise_` fixes;
    there are no batch statistics, so a point's velocity never depends on the batch it comes in. A
    family whose mean vanishes by its form sets ``centred = False`` and is only scaled, since an
    estimate of a known zero would add a residual. Fields of images take canvases of any size.

    ``sigma`` is the noise level that the field lives at, in standard deviations: the distribution
    to preserve is that of the snapshots plus ``N(0, sigma^2 I)``, of the snapshots themselves at 0.
    An ensemble holds several ``members``.
    """

    mean: Tensor
    scale: Tensor
    centred = True
    sigma: float = 0.0
    members = 1

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.register_buffer("mean", torch.zeros(channelwise(self.shape)))
        self.register_buffer("scale", torch.ones(()))

    @property
    def dim(self) -> int:
        """Number of coordinates of a state."""
        return prod(self.shape)

    @property
    def channels(self) -> int:
        """Number of features of a vector, or of channels of an image."""
        return self.shape[0]

    @property
    def longest_step(self) -> float:
        """Time step, in transit times, beyond which an integrator loses the field; if known."""
        return inf

    @property
    def random_arguments(self) -> dict[str, int]:
        """Arguments that a random field of the same size needs and this field has derived."""
        return {}

    @abstractmethod
    def unscaled(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        """The family's own formula, before mean and scale."""

    def forward(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        return self.scale * (self.unscaled(x) - self.mean)

    def at_common_states(
        self, x: Float[Tensor, "batch *shape"]
    ) -> Float[Tensor, "members batch *shape"]:
        """Velocities of all members of the field at the same states."""
        return self(x)[None]

    def given(
        self, x: Float[Tensor, "batch *shape"], score: Float[Tensor, "batch *shape"]
    ) -> Float[Tensor, "batch *shape"]:
        """Velocity at ``x``, where the score at the field's own noise level is known already."""
        return self(x)

    @torch.no_grad()
    def normalise_(self, batches: Iterable[Tensor]) -> "VelocityField":
        """Fix mean and scale in one pass, in float64, over ``batches`` of states at ``sigma``.

        Raises ``ValueError`` for a field that moves nothing, which is the trivial solution.
        """
        count = 0
        total, square = torch.zeros_like(self.mean).double(), torch.zeros_like(self.scale).double()
        for x in batches:
            v = self.unscaled(x).double()
            count += v[:, 0].numel()
            total += v.sum((0, *range(2, v.ndim))).view_as(total)
            square += v.square().sum()
        mean = total / count if self.centred else torch.zeros_like(total)
        variance = (square / count - mean.square().sum()) / len(mean)
        if not variance > 1e-12:
            raise ValueError(
                f"{type(self).__name__} has no velocity: E|v - Ev|^2 / d = {variance:.1e}"
            )
        self.mean.copy_(mean)
        self.scale.copy_(variance.rsqrt())
        return self
