"""Moments of a library of images, image by image and block by block.

The observations that the covariance of the moments is taken from are blocks of an image: images
alone are often fewer than the moments. Blocks are correlated, so their effective number is smaller
(:func:`inflation`), and a test counts all those of an image, or of a group of images, as one.
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


BLOCKS = 4
"""Blocks along each side of an image, fewer where the side is not divisible."""


class Moments(NamedTuple):
    """``each`` block's moments of every term in every equation; ``gram`` of the terms by image."""

    each: Float[Tensor, "n blocks functions terms channels"]
    gram: Float[Tensor, "n terms terms"]

    def sums(self) -> Sums:
        """Sums over the images."""
        return Sums(self.each.mean(1).sum(0), self.gram.sum(0), len(self.each))


def moments(
    z: Float[Tensor, "n channels height width"], theta: Theta, functions: LocalFunctions
) -> Moments:
    """Moments of standardised images, where ``theta`` gives the terms' values, float64."""
    found = [_of_one(image.double(), theta, functions) for image in z]
    return Moments(*map(torch.stack, zip(*found, strict=True)))


def _of_one(
    z: Float[Tensor, "channels height width"], theta: Theta, functions: LocalFunctions
) -> tuple[Tensor, Tensor]:
    values = theta(z[None])[0]
    tested = functions.features(values).flatten(0, 1)
    slopes, tested = (_blocks(image) for image in (functions.slopes(z), tested))
    products = slopes @ tested.mT / slopes.shape[2]
    by_feature = products.unflatten(2, (-1, len(values)))
    each = torch.einsum("bmja,mjc->bmac", by_feature, functions.weights)
    return each, second_moments(values[None])


def second_moments(values: Float[Tensor, "n terms height width"]) -> Float[Tensor, "terms terms"]:
    """Means of the products of terms over images and places."""
    rows = values.transpose(0, 1).flatten(1)
    return rows @ rows.T / rows.shape[1]


def _blocks(x: Float[Tensor, "k height width"]) -> Float[Tensor, "blocks k places"]:
    rows, columns = map(_parts, x.shape[1:])
    x = x.unflatten(2, (columns, -1)).unflatten(1, (rows, -1))
    return x.permute(1, 3, 0, 2, 4).flatten(3).flatten(0, 1)


def block_count(sides: tuple[int, int]) -> int:
    """Number of blocks of an image."""
    return prod(map(_parts, sides))


def _parts(side: int) -> int:
    return next(k for k in range(BLOCKS, 0, -1) if side % k == 0)


def inflation(each: Float[Tensor, "rows k"], groups: Int[Tensor, " rows"]) -> float:
    """By how much the variance of a mean exceeds that of as many independent rows; at least 1.

    ``groups`` label the rows that are correlated.
    """
    centred = each - each.mean(0)
    ratio = group_sums(centred, groups).square().sum(0) / centred.square().sum(0).clamp_min(1e-300)
    return max(1.0, float(ratio.mean()))


class ImageForm(Form):
    """Moments of a library on standardised images; an observation is a block of one.

    ``groups`` (n x blocks,) say which blocks are correlated; ``total`` the sums over all images,
    those of the sample if left out. The combined functions have moments that are uncorrelated on
    average over the library.
    """

    def __init__(
        self,
        found: Moments,
        groups: Int[Tensor, " observations"],
        total: Sums | None = None,
        rms: Float[Tensor, " terms"] | None = None,
    ) -> None:
        tested, gram, images = total or found.sums()
        self.dim = tested.shape[2]
        self.rms = (gram.diagonal() / images).sqrt() if rms is None else rms
        self.gram = gram / images / torch.outer(self.rms, self.rms)
        self.each = (found.each / self.rms[:, None]).flatten(0, 1).flatten(2)
        self.size = len(self.each)
        self.count = self.size * images / len(found.gram)
        self.groups = groups
        self.total = self.count / inflation(self.each.flatten(1), groups)
        self.plain_jacobian = (tested / images / self.rms[:, None]).flatten(1)

    @cached_property
    def mix(self) -> Float[Tensor, "functions m"]:
        """Coefficients of the combined functions."""
        by_function = self.each.transpose(0, 1).flatten(1)
        return uncorrelated(by_function @ by_function.T / self.size, self.dim)

    @cached_property
    def turned(self) -> Float[Tensor, "n unknowns functions"]:
        """The moments with unknowns first: sums over functions are then along rows."""
        return self.each.mT.contiguous()

    def set_effective_size(self, xi: Float[Tensor, " unknowns"]) -> None:
        """Count ``total`` by how much the field's own moments are correlated within an image."""
        self.total = self.count / inflation(self.moments(xi) @ self.mix, self.groups)

    def moments(self, xi: Float[Tensor, " unknowns"]) -> Float[Tensor, "n functions"]:
        """``v . grad phi_m`` of every block, for the plain test functions."""
        return self.each @ xi

    def along(self, u: Float[Tensor, " m"]) -> Float[Tensor, "n unknowns"]:
        """``theta_k . grad f`` of every block, for the combination ``f = u . phi``."""
        return self.turned @ (self.mix @ u)

    def noise(self, root: Float[Tensor, "m r"]) -> Float[Tensor, "unknowns unknowns"]:
        """``B_kl = cov(theta_k . grad phi, theta_l . grad phi)`` weighted by ``root root^T``."""
        combined = torch.einsum("nmk,mr->nrk", self.each, self.mix @ root).flatten(0, 1)
        mean = root.T @ self.jacobian
        return combined.T @ combined / self.size - mean.T @ mean
