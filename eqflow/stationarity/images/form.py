"""The weak form of a library field of images, and the sample it is made of."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.stationarity.form import Form, Sums, uncorrelated
from eqflow.stationarity.images.functions import LocalFunctions
from eqflow.stationarity.images.moments import (
    Moments,
    Theta,
    block_count,
    inflation,
    moments,
    second_moments,
)


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

    def settle(self, xi: Float[Tensor, " unknowns"]) -> None:
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


@dataclass(frozen=True, eq=False)
class ImageSample:
    """Standardised images, and ``theta``, which gives the values of the terms there.

    ``groups`` label correlated images; None if all are independent.
    """

    z: Float[Tensor, "n channels height width"]
    theta: Theta
    groups: Int[Tensor, " n"] | None = None
    found: dict[int, Moments] = field(default_factory=dict, repr=False)

    reservoir: ClassVar[int] = 512

    @property
    def dim(self) -> int:
        """Number of equations."""
        return self.z.shape[1]

    @property
    def observations(self) -> int:
        """Observations that a snapshot makes: its blocks."""
        return block_count((self.z.shape[2], self.z.shape[3]))

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, rows: slice) -> "ImageSample":
        if len(range(*rows.indices(len(self)))) == len(self):
            return self  # with what was computed of it
        groups = None if self.groups is None else self.groups[rows]
        parts = {seed: Moments(*(p[rows] for p in found)) for seed, found in self.found.items()}
        return ImageSample(self.z[rows], self.theta, groups, parts)

    def moments(self, functions: LocalFunctions) -> Moments:
        """Moments against functions, computed once for each seed of theirs."""
        found = self.found.get(functions.seed)
        if found is None or found.each.shape[2] < len(functions):
            found = self.found[functions.seed] = moments(self.z, self.theta, functions)
        return found._replace(each=found.each[:, :, : len(functions)])

    def joined(self, other: "ImageSample", functions: LocalFunctions) -> "ImageSample":
        """Both samples, with the moments against ``functions``."""
        groups = None
        if self.groups is not None and other.groups is not None:
            groups = torch.cat([self.groups, other.groups])
        pairs = zip(self.moments(functions), other.moments(functions), strict=True)
        found = {functions.seed: Moments(*map(torch.cat, pairs))}
        return ImageSample(torch.cat([self.z, other.z]), self.theta, groups, found)

    def sums(self, functions: LocalFunctions) -> Sums:
        """Its part of the moments."""
        return self.moments(functions).sums()

    @cached_property
    def gram(self) -> Float[Tensor, "terms terms"]:
        """Means of the products of the terms."""
        each = [second_moments(self.theta(x[None].double())) for x in self.z]
        return torch.stack(each).mean(0)

    def form(
        self,
        columns: Tensor,
        functions: LocalFunctions,
        total: Sums | None = None,
        rms: Float[Tensor, " terms"] | None = None,
    ) -> ImageForm:
        """The weak form of some of the terms."""
        each, gram = self.moments(functions)
        some = Moments(each[:, :, :, columns], gram[:, columns][:, :, columns])
        return ImageForm(some, self.observation_groups, total, rms)

    @property
    def observation_groups(self) -> Int[Tensor, " observations"]:
        """The group of every block, or its image where there are none."""
        images = torch.arange(len(self.z), device=self.z.device)
        return (images if self.groups is None else self.groups).repeat_interleave(self.observations)
