"""Weak form of a library of images, with the blocks of an image as observations.

There are often fewer images than moments, too few for the covariance of the moments. It is
therefore taken over blocks of images. Blocks of an image are correlated, so that their effective
number is smaller (:func:`inflation`), and a test counts the blocks of an image, or of a group, as
one.
"""

from collections.abc import Callable
from functools import cached_property
from math import prod
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.data import group_sums
from eqflow.stationarity.form import Form, Sums, uncorrelated
from eqflow.stationarity.images.functions import LocalFunctions

Theta = Callable[[Tensor], Tensor]
"""Values of the terms at images, ``(n, channels, *grid)`` to ``(n, terms, *grid)``."""


BLOCKS_PER_SIDE = 4
"""Blocks along each side of an image; fewer if they do not divide it."""


class Moments(NamedTuple):
    """Moments of each block of images, and means of products of terms of each image.

    ``blocks[i, b, m, a, j]`` is the moment of term ``a`` in equation ``j`` against functional
    ``m``.
    """

    blocks: Float[Tensor, "n blocks functions terms channels"]
    gram: Float[Tensor, "n terms terms"]

    def sums(self) -> Sums:
        """Sums over the images."""
        return Sums(self.blocks.mean(1).sum(0), self.gram.sum(0), len(self.blocks))


def moments(
    z: Float[Tensor, "n channels height width"], theta: Theta, functions: LocalFunctions
) -> Moments:
    """Moments of standardised images ``z``, at which ``theta`` gives the terms; float64."""
    parts = [_of_image(image.double(), theta, functions) for image in z]
    return Moments(*map(torch.stack, zip(*parts, strict=True)))


def _of_image(
    z: Float[Tensor, "channels height width"], theta: Theta, functions: LocalFunctions
) -> tuple[Tensor, Tensor]:
    values = theta(z[None])[0]
    tested = functions.features(values).flatten(0, 1)
    slopes, tested = (_blocks(image) for image in (functions.slopes(z), tested))
    products = slopes @ tested.mT / slopes.shape[2]
    by_feature = products.unflatten(2, (-1, len(values)))
    blocks = torch.einsum("bmja,mjc->bmac", by_feature, functions.weights)
    return blocks, second_moments(values[None])


def second_moments(values: Float[Tensor, "n terms height width"]) -> Float[Tensor, "terms terms"]:
    """Means of the products of two terms over images and places."""
    rows = values.transpose(0, 1).flatten(1)
    return rows @ rows.T / rows.shape[1]


def _blocks(x: Float[Tensor, "k height width"]) -> Float[Tensor, "blocks k places"]:
    rows, columns = map(_parts, x.shape[1:])
    x = x.unflatten(2, (columns, -1)).unflatten(1, (rows, -1))
    return x.permute(1, 3, 0, 2, 4).flatten(3).flatten(0, 1)


def block_count(sides: tuple[int, int]) -> int:
    """Number of blocks of an image with these sides."""
    return prod(map(_parts, sides))


def _parts(side: int) -> int:
    return next(k for k in range(BLOCKS_PER_SIDE, 0, -1) if side % k == 0)


def inflation(rows: Float[Tensor, "n k"], groups: Int[Tensor, " n"]) -> float:
    """Variance of the mean of correlated rows, relative to that of independent ones; at least 1.

    Rows with the same number in ``groups`` are correlated. The ratio is averaged over columns.
    """
    centred = rows - rows.mean(0)
    ratio = group_sums(centred, groups).square().sum(0) / centred.square().sum(0).clamp_min(1e-300)
    return max(1.0, float(ratio.mean()))


class ImageForm(Form):
    """Moments of a library on standardised images, block by block.

    The test functionals are combined so that the moments of the terms are uncorrelated over blocks,
    on average over the library.

    Args:
        sample: Moments of the blocks of a sample of images.
        groups: Number of the group of each block, images in turn.
        total: Sums over all images, from which the mean moments are taken; those over the sample by
            default.
        rms: Root mean squares that the terms are divided by; those of the images by default.
    """

    def __init__(
        self,
        sample: Moments,
        groups: Int[Tensor, " observations"],
        total: Sums | None = None,
        rms: Float[Tensor, " terms"] | None = None,
    ) -> None:
        tested, gram, images = total or sample.sums()
        self.dim = tested.shape[2]
        self.rms = (gram.diagonal() / images).sqrt() if rms is None else rms
        self.gram = gram / images / torch.outer(self.rms, self.rms)
        self.blocks = (sample.blocks / self.rms[:, None]).flatten(0, 1).flatten(2)
        self.sample_size = len(self.blocks)
        self.count = self.sample_size * images / len(sample.gram)
        self.groups = groups
        self.effective_size = self.count / inflation(self.blocks.flatten(1), groups)
        self.plain_jacobian = (tested / images / self.rms[:, None]).flatten(1)

    @cached_property
    def mix(self) -> Float[Tensor, "functions m"]:
        by_function = self.blocks.transpose(0, 1).flatten(1)
        return uncorrelated(by_function @ by_function.T / self.sample_size, self.dim)

    @cached_property
    def _transposed(self) -> Float[Tensor, "n unknowns functions"]:
        # sums over functions then run along contiguous rows
        return self.blocks.mT.contiguous()

    def set_effective_size(self, xi: Float[Tensor, " unknowns"]) -> None:
        self.effective_size = self.count / inflation(self.moments(xi) @ self.mix, self.groups)

    def moments(self, xi: Float[Tensor, " unknowns"]) -> Float[Tensor, "n functions"]:
        return self.blocks @ xi

    def moments_along(self, u: Float[Tensor, " m"]) -> Float[Tensor, "n unknowns"]:
        return self._transposed @ (self.mix @ u)

    def weighted_jacobian(
        self, weights: Float[Tensor, " n"]
    ) -> Float[Tensor, "functions unknowns"]:
        return torch.tensordot(weights, self.blocks, dims=1) / self.sample_size

    def sampling_covariance(self, root: Float[Tensor, "m r"]) -> Float[Tensor, "unknowns unknowns"]:
        combined = torch.einsum("nmk,mr->nrk", self.blocks, self.mix @ root).flatten(0, 1)
        mean = root.T @ self.jacobian
        return combined.T @ combined / self.sample_size - mean.T @ mean
