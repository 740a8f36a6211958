"""Distances between sets of images by their structure factors and their pixel histograms.

A *profile* describes an image by a few hundred numbers, and a set of images by their mean, so that
no cost grows with the square of the number of pixels.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from eqflow.metrics.preservation import TwoSample

HISTOGRAM_EXTENT, BIN_WIDTH = 8.0, 0.05
"""Largest absolute value of histograms and width of their bins, in standard deviations; values
beyond are in the outermost bins."""


def structure_factor(
    x: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, "batch channels rings"]:
    """Structure factor ``S(|k|)``: power of each channel in rings of wavenumbers.

    ``|k|`` is rounded to whole waves per side, the longer side where they differ. The sum over
    rings is the mean square of the channel (Parseval), the first ring the square of its mean.
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
    """Histogram of the pixels of each channel, as shares that add up to one."""
    bins = round(2 * HISTOGRAM_EXTENT / BIN_WIDTH)
    pixels = x.flatten(2)
    index = ((pixels + HISTOGRAM_EXTENT) / BIN_WIDTH).floor().clamp(0, bins - 1).long()
    counts = pixels.new_zeros(*x.shape[:2], bins, dtype=torch.double)
    return (
        counts.scatter_add(2, index, torch.ones_like(pixels, dtype=torch.double)) / index.shape[2]
    )


def structure_distance(
    p: Float[Tensor, "*sets channels rings"], q: Float[Tensor, "*sets channels rings"]
) -> Float[Tensor, "*sets"]:
    """Power at the wrong scale, ``sum_k |P_k - Q_k|``, the mean over channels."""
    return (p - q).abs().sum(-1).mean(-1)


def histogram_distance(
    p: Float[Tensor, "*sets channels bins"], q: Float[Tensor, "*sets channels bins"]
) -> Float[Tensor, "*sets"]:
    """Wasserstein-1 distance of two histograms, in standard deviations, mean over channels."""
    return BIN_WIDTH * (p - q).cumsum(-1).abs().sum(-1).mean(-1)


PROFILES = {
    "structure": (structure_factor, structure_distance),
    "histogram": (histogram, histogram_distance),
}
"""Name -> profile of an image, and distance between two mean profiles."""


class ProfileDistance(TwoSample):
    """Distance of mean profiles, of the images that did not escape; NaN if all did.

    ``name`` is one of ``PROFILES``.
    """

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
    """Distance of mean profiles between two halves of a set of images, for many splits at once.

    ``first`` marks the first half of each split in a column.
    """
    profile, distance = PROFILES[name]
    profiles = profile(states)
    means = [
        torch.einsum("ncb,ns->scb", profiles, half / half.sum(0))
        for half in (first.double(), (~first).double())
    ]
    return distance(*means)
