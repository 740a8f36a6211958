"""Networks that scores and velocity fields share."""

from eqflow.nn.convolution import convolve, isotropic
from eqflow.nn.mlp import MLP
from eqflow.nn.unet import PeriodicUNet

__all__ = ["MLP", "PeriodicUNet", "convolve", "isotropic"]
