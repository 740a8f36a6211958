"""Convolutions of the score of images: the training-free flow on a periodic grid.

``v_i(p) = sum_j sum_r K_ij(r) s_j(p - r)`` with ``K_ij(r) = -K_ji(-r)``. At the wave vector ``k``
it is ``K(k) s(k)`` with an anti-Hermitian matrix ``K(k)`` over the channels: the map is
antisymmetric, so ``v . s = 0`` always and ``div v = 0`` when the score is a gradient.
"""

from math import inf

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.fields.convolution import convolve
from eqflow.fields.linear import LinearInScore
from eqflow.score import Score

RESOLUTION = 32
"""Wave numbers along an axis, times ``R + 1``: a maximum between them is at most 1 % higher."""

TURN = 0.5
"""Angle, in radians, that a linear mode may turn by in one step of an integrator."""


class KernelMap(LinearInScore):
    """``v(x) = K * s(x, sigma)``, periodic, on a canvas of any height and width.

    Raises ``InputError`` for states that are not images ``(C, H, W)``, and for a kernel that is
    zero, as an antisymmetric one of a single channel without a direction is.
    """

    kernel: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        kernel: Float[Tensor, "channels channels side side"],
        score: Score,
        sigma: float,
    ) -> None:
        super().__init__(shape, score, sigma)
        if len(shape) != 3:
            raise InputError(
                f"kernels take images of shape (C, H, W), found snapshots of shape {shape}"
            )
        if not kernel.any():
            raise InputError(
                f"flow.field: the antisymmetric kernel of {shape[0]} channel and radius "
                f"{kernel.shape[-1] // 2} is zero; expected radius >= 1 and symmetric=false, or "
                "more channels"
            )
        self.register_buffer("kernel", kernel)

    def map(
        self, s: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        return convolve(self.kernel, s)

    @property
    def radius(self) -> int:
        """Largest offset along an axis."""
        return self.kernel.shape[-1] // 2

    @property
    def fastest(self) -> float:
        """Rate, in radians per transit time, that no linear mode exceeds.

        ``scale max_k |K(k)| / sigma^2`` with the spectral norm, over all wave vectors: the score of
        a smoothed law falls with a slope of at most ``1 / sigma^2``.
        """
        sides = (RESOLUTION * (self.radius + 1),) * 2
        spectrum = torch.fft.rfft2(self.kernel.double(), sides).movedim((0, 1), (-2, -1))
        norm = torch.linalg.matrix_norm(spectrum, ord=2).max()
        return (self.scale * norm / self.sigma**2).item()

    @property
    def longest_step(self) -> float:
        """Time step beyond which an integrator loses the fastest mode."""
        return TURN / self.fastest if self.fastest else inf
