"""Measures of images: at which scales their power is, and which values their pixels take.

Both describe an image by a few hundred numbers, and a set of images by the mean of them, so that
nothing grows with the square of the pixels.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from eqflow.metrics.preservation import TwoSample

EXTENT, WIDTH = 8.0, 0.05
"""Values beyond ``EXTENT`` are in the outermost bins of a histogram, whose bins have ``WIDTH``."""


def structure_factor(
    x: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, "batch channels rings"]:
    """Power of each channel in rings of wavenumbers ``|k|``, rounded to whole waves per side.

    For sides of different length the longer one counts. The rings' sum is the mean square of the
    channel (Parseval), the first ring that of its mean.
    """
    height, width = x.shape[-2:]
    waves = torch.fft.fft2(x.double()) if len(x) else x.double()  # none: all may have escaped
    power = waves.abs().square() / (height * width) ** 2
    ring = _rings(height, width, x.device)
    rings = power.new_zeros(*x.shape[:2], int(ring.max()) + 1)
    return rings.index_add(2, ring.flatten(), power.flatten(2))


def _rings(height: int, width: int, device: torch.device) -> Int[Tensor, "height width"]:
    ky, kx = (torch.fft.fftfreq(n, device=device) * max(height, width) for n in (height, width))
    return (ky[:, None] ** 2 + kx**2).sqrt().round().long()


def histogram(
    x: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, "batch channels bins"]:
    """Shares of the pixels of each channel in bins of ``WIDTH`` standard deviations."""
    bins = round(2 * EXTENT / WIDTH)
    pixels = x.flatten(2)
    index = ((pixels + EXTENT) / WIDTH).floor().clamp(0, bins - 1).long()
    counts = pixels.new_zeros(*x.shape[:2], bins, dtype=torch.double)
    return (
        counts.scatter_add(2, index, torch.ones_like(pixels, dtype=torch.double)) / index.shape[2]
    )


def structure_distance(
    p: Float[Tensor, "*sets channels rings"], q: Float[Tensor, "*sets channels rings"]
) -> Float[Tensor, "*sets"]:
    """``sum_k |P_k - Q_k|``, the mean over channels: power at the wrong scale."""
    return (p - q).abs().sum(-1).mean(-1)


def histogram_distance(
    p: Float[Tensor, "*sets channels bins"], q: Float[Tensor, "*sets channels bins"]
) -> Float[Tensor, "*sets"]:
    """Wasserstein-1 distance of two histograms in standard deviations, the mean over channels."""
    return WIDTH * (p - q).cumsum(-1).abs().sum(-1).mean(-1)


PROFILES = {
    "structure": (structure_factor, structure_distance),
    "histogram": (histogram, histogram_distance),
}
"""Name -> numbers that describe an image, and the distance between their means."""


class ProfileDistance(TwoSample):
    """Distance of the mean profile, one of ``PROFILES``, of the images that stayed; else NaN."""

    def __init__(self, radius: float, name: str) -> None:
        super().__init__(radius)
        self.profile, self.distance = PROFILES[name]

    def compute(self) -> Float[Tensor, ""]:
        simulated, kept, reference = self.samples()
        if not kept.any():
            return torch.tensor(torch.nan)
        return self.distance(self.profile(simulated[kept]).mean(0), self.profile(reference).mean(0))


def profile_splits(
    states: Float[Tensor, "two_n channels height width"],
    name: str,
    first: Bool[Tensor, "two_n splits"],
) -> Float[Tensor, " splits"]:
    """The same distance between the halves of many splits; ``first`` marks the first of each."""
    profile, distance = PROFILES[name]
    profiles = profile(states)
    means = [
        torch.einsum("ncb,ns->scb", profiles, half / half.sum(0))
        for half in (first.double(), (~first).double())
    ]
    return distance(*means)
