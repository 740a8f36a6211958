"""Trained score of images: a small periodic U-Net as :mod:`eqflow.score.trained` uses it."""

from jaxtyping import Float
from torch import Tensor

from eqflow.score.convolution import PeriodicUNet
from eqflow.score.images import ImageScore


class ConvScore(ImageScore):
    """Our small convolutional score: it trains in minutes on two cores.

    ``conservative`` makes it the gradient of an energy that is a sum over pixels,
    ``Phi(u) = u . N(u)``, at two and a half times the cost. With ``noise_std=0``, the default, it
    is made for the one level ``exp(noise_mean)``; else the network is told the level.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int = 32,
        depth: int = 4,
        conservative: bool = False,
        symmetrise: int = 0,
        noise_mean: float = -1.4271,
        noise_std: float = 0.0,
    ) -> None:
        super().__init__(shape, conservative, symmetrise, noise_mean, noise_std)
        self.network = PeriodicUNet(shape[0], width, depth, conditional=noise_std > 0)

    def network_output(
        self, x: Float[Tensor, "batch channels height width"], sigma: Float[Tensor, "#batch 1 1 1"]
    ) -> Float[Tensor, "batch channels height width"]:
        u, level = self._unit_inputs(x, sigma)
        if not self.conservative:
            return self.network(u, level)
        value, pullback = self.network.value_and_pullback(u, u, level)
        return -(value + pullback)

    def potential(
        self, x: Float[Tensor, "batch channels height width"], sigma: Float[Tensor, "#batch 1 1 1"]
    ) -> Float[Tensor, " batch"]:
        u, level = self._unit_inputs(x, sigma)
        return (u * self.network(u, level)).sum((1, 2, 3))
