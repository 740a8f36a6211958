"""Velocity fields that need no training: linear maps of the score, and decay to the mean.

``v = A s`` with a constant antisymmetric ``A`` has ``v . s = 0`` always, and ``div v = 0`` when the
score is a gradient: it preserves ``p_sigma`` (the paper's training-free flow). In three dimensions
it also conserves ``n . x`` for the null vector ``n`` of ``A``, hence is never chaotic.
"""

from abc import abstractmethod
from math import inf

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.fields.base import VelocityField
from eqflow.fields.kernels import random_kernel, skew_kernel
from eqflow.nn import convolve
from eqflow.score import Score


class LinearInScore(VelocityField):
    """Linear map of the score, ``v(x) = L s(x, sigma)``; subclasses define the constant ``L``."""

    centred = False

    def __init__(self, shape: tuple[int, ...], score: Score, sigma: float) -> None:
        super().__init__(shape)
        self.score, self.sigma = score, sigma

    @abstractmethod
    def map(self, s: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        """``L s``."""

    def unscaled(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        return self.map(self.score(x, self.sigma))

    def given(
        self, x: Float[Tensor, "batch *shape"], score: Float[Tensor, "batch *shape"]
    ) -> Float[Tensor, "batch *shape"]:
        return self.scale * (self.map(score) - self.mean)


class ScoreMap(LinearInScore):
    """Linear map ``v(x) = M s(x, sigma)`` with a constant ``matrix`` over the coordinates."""

    matrix: Tensor

    def __init__(
        self, shape: tuple[int, ...], matrix: Float[Tensor, "dim dim"], score: Score, sigma: float
    ) -> None:
        super().__init__(shape, score, sigma)
        self.register_buffer("matrix", matrix)

    def map(self, s: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        return (s.flatten(1) @ self.matrix.T).view_as(s)


def random_matrix(dim: int, seed: int) -> Float[Tensor, "dim dim"]:
    """Matrix of standard normal entries drawn by ``seed``."""
    return random_kernel(dim, seed, radius=0)[:, :, 0, 0]


def skew_matrix(dim: int, seed: int) -> Float[Tensor, "dim dim"]:
    """Antisymmetric matrix ``(R - R^T) / sqrt(2)`` of a Gaussian ``R`` drawn by ``seed``."""
    return skew_kernel(dim, seed, radius=0)[:, :, 0, 0]


class MinusX(VelocityField):
    """Decay to the mean, ``v(x) = -x``: a null that preserves nothing."""

    centred = False

    def unscaled(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        return -x


SPECTRUM_RESOLUTION = 32
"""Wave numbers along an axis, times ``R + 1``, at which the spectrum of a kernel is searched.

A maximum between them is at most 1 % higher."""


MAX_ANGLE = 0.5
"""Angle, in radians, by which a linear mode may turn in one step of an integrator."""


class KernelMap(LinearInScore):
    """Periodic convolution of the score of images, ``v(x) = K * s(x, sigma)``.

    ``v_i(p) = sum_j sum_r K_ij(r) s_j(p - r)`` on a canvas of any height and width. With
    ``K_ij(r) = -K_ji(-r)`` it is, at the wave vector ``k``, ``K(k) s(k)`` with an anti-Hermitian
    matrix ``K(k)`` over the channels: the map is antisymmetric, so that ``v . s = 0`` always and
    ``div v = 0`` when the score is a gradient.

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
        """Largest offset of the kernel along an axis."""
        return self.kernel.shape[-1] // 2

    @property
    def fastest(self) -> float:
        """Upper bound of the rates of all linear modes, in radians per transit time.

        ``scale max_k |K(k)| / sigma^2`` with the spectral norm, over all wave vectors: the score of
        a smoothed density falls with a slope of at most ``1 / sigma^2``.
        """
        sides = (SPECTRUM_RESOLUTION * (self.radius + 1),) * 2
        spectrum = torch.fft.rfft2(self.kernel.double(), sides).movedim((0, 1), (-2, -1))
        norm = torch.linalg.matrix_norm(spectrum, ord=2).max()
        return (self.scale * norm / self.sigma**2).item()

    @property
    def random_arguments(self) -> dict[str, int]:
        return {"radius": self.radius}

    @property
    def longest_step(self) -> float:
        """Time step beyond which an integrator loses the fastest mode."""
        return MAX_ANGLE / self.fastest if self.fastest else inf
