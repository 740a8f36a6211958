"""White noise of pixels, from the tail of the structure factor.

The power spectrum of a smooth pattern falls off towards the grid's limit, the Nyquist corner ``|k|
= pi sqrt(2)``; independent noise of the pixels is a floor there. On pattern-forming systems the
power ``P`` is nearly exponential in the eigenvalue ``L(k) = 4 - 2 cos k_x - 2 cos k_y`` of minus
the five-point Laplacian, so that the floor is what successive bands of ``L`` converge to.
"""

from itertools import pairwise
from math import pi

import torch
from jaxtyping import Bool, Float
from torch import Tensor

MIN_PIXEL_NOISE = 1e-4
"""Noise, in a channel's standard deviation, from which images count as noisy."""


MIN_FLOOR_SHARE = 0.5
"""Share of the power in the last band from which a floor is told from a pattern's own tail.

On clean Gray-Scott patterns the extrapolation leaves up to a third."""


BANDS = 5 / 8, 6 / 8, 7 / 8, 1.0
"""Edges of three bands of ``L``, as shares of its largest value."""


MAX_DECAY = 0.5
"""Largest ratio of two drops of power between bands that counts as the decay of a pattern."""


def pixel_noise(z: Float[Tensor, "n channels height width"]) -> Float[Tensor, " channels"]:
    """Standard deviation of the white noise in standardised images, for each channel.

    Aitken's extrapolation of the power in the ``BANDS``; zero where that is less than
    ``MIN_FLOOR_SHARE`` of the last of them, and on grids too small to have modes in every band. The
    power is the median over images, since those with the least fine structure show the noise best.
    """
    powers = [_powers(image.double()) for image in z]
    far, middle, near = torch.stack(powers).median(0).values.unbind(1)
    decay = ((middle - near) / (far - middle)).nan_to_num(0.0, 0.0, 0.0).clamp(0, MAX_DECAY)
    pattern = (middle - near).clamp_min(0) * decay / (1 - decay)
    floor = near - pattern
    return floor.where(floor > MIN_FLOOR_SHARE * near, 0.0).sqrt()


def _powers(image: Float[Tensor, "channels height width"]) -> Float[Tensor, "channels bands"]:
    """Mean squared modes in each band, in units in which white noise has its variance."""
    height, width = image.shape[1:]
    power = torch.fft.fft2(image).abs().square() / (height * width)
    bands = _bands(height, width, image.device)
    return torch.stack([power[:, band].mean(1) for band in bands], 1)


def _bands(height: int, width: int, device: torch.device) -> list[Bool[Tensor, "height width"]]:
    y, x = (2 - 2 * (2 * pi * torch.fft.fftfreq(n, device=device)).cos() for n in (height, width))
    share = (y[:, None] + x) / (y.max() + x.max())
    return [(share > low) & (share <= high + 1e-6) for low, high in pairwise(BANDS)]
