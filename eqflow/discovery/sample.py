"""The snapshots that a library is fitted to, or tested on."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.stationarity import Form, FourierFunctions, Sums, WeakForm, sums
from eqflow.stationarity.images.form import (
    ImageForm,
    Moments,
    Theta,
    block_count,
    moments,
    second_moments,
)
from eqflow.stationarity.images.functions import LocalFunctions

RESERVOIR = 20_000
"""States on which covariances are taken; means are those of all snapshots."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Standardised states and the values of the terms there.

    ``groups`` label correlated states; None if all are independent.
    """

    z: Float[Tensor, "n dim"]
    theta: Float[Tensor, "n terms"]
    groups: Int[Tensor, " n"] | None = None

    reservoir: ClassVar[int] = RESERVOIR

    @property
    def dim(self) -> int:
        """Number of equations."""
        return self.z.shape[1]

    @property
    def observations(self) -> int:
        """Observations that a snapshot makes."""
        return 1

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, rows: slice) -> "Sample":
        groups = None if self.groups is None else self.groups[rows]
        return Sample(self.z[rows], self.theta[rows], groups)

    def joined(self, other: "Sample", functions: FourierFunctions) -> "Sample":
        """The states of both."""
        groups = None
        if self.groups is not None and other.groups is not None:
            groups = torch.cat([self.groups, other.groups])
        return Sample(torch.cat([self.z, other.z]), torch.cat([self.theta, other.theta]), groups)

    def sums(self, functions: FourierFunctions) -> Sums:
        """Its part of the moments."""
        return sums(self.z, self.theta, functions)

    @cached_property
    def gram(self) -> Float[Tensor, "terms terms"]:
        """Means of the products of the terms."""
        return self.theta.T @ self.theta / len(self.theta)

    def form(
        self,
        columns: Tensor,
        functions: FourierFunctions,
        total: Sums | None = None,
        rms: Float[Tensor, " terms"] | None = None,
    ) -> Form:
        """The weak form of some of the terms."""
        return WeakForm(self.z, self.theta[:, columns], functions, total, rms)

    @property
    def observation_groups(self) -> Int[Tensor, " n"] | None:
        """The group of every observation."""
        return self.groups


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
