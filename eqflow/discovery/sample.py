"""Snapshots that a library is fitted to, or tested on, with the values of its terms."""

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from eqflow.stationarity import FourierFunctions, Sums, WeakForm, sums
from eqflow.stationarity.images.form import (
    ImageForm,
    Moments,
    Theta,
    block_count,
    moments,
    second_moments,
)
from eqflow.stationarity.images.functions import LocalFunctions

SampleType = TypeVar("SampleType", bound="Sample")


@dataclass(frozen=True, eq=False)
class Sample:
    """Standardised snapshots ``z`` and the terms ``theta`` of a library there.

    Snapshots with the same number in ``groups`` are correlated; None if all are independent. No
    more than ``reservoir`` snapshots are kept: covariances are taken over these, means over all.
    """

    z: Float[Tensor, "n dim *grid"]
    theta: Any
    groups: Int[Tensor, " n"] | None = None

    reservoir: ClassVar[int]

    def __len__(self) -> int:
        return len(self.z)

    @property
    def dim(self) -> int:
        """Number of equations: of features of a vector, or of channels of an image."""
        return self.z.shape[1]

    @property
    def _tensors(self) -> dict[str, Tensor]:
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def first(self: SampleType, count: int) -> SampleType:
        """The first ``count`` snapshots."""
        return replace(self, **{name: value[:count] for name, value in self._tensors.items()})

    def part(self: SampleType, chosen: Bool[Tensor, " n"]) -> SampleType:
        """The snapshots that are chosen."""
        return replace(self, **{name: value[chosen] for name, value in self._tensors.items()})

    def joined(self: SampleType, other: SampleType, functions: Any) -> SampleType:
        """The snapshots of both samples, with what is kept of their moments for ``functions``."""
        parts = {k: torch.cat([v, getattr(other, k)]) for k, v in self._tensors.items()}
        return replace(self, **parts)


class VectorSample(Sample):
    """Standardised vectors; ``theta`` (n, terms) holds the values of the terms."""

    reservoir: ClassVar[int] = 20_000
    observations_per_snapshot: ClassVar[int] = 1

    @property
    def observation_groups(self) -> Int[Tensor, " n"] | None:
        """Number of the group of every observation; None if all are independent."""
        return self.groups

    @cached_property
    def gram(self) -> Float[Tensor, "terms terms"]:
        """Means of the products of two terms."""
        return self.theta.T @ self.theta / len(self.theta)

    def sums(self, functions: FourierFunctions) -> Sums:
        """Sums over the snapshots from which the mean moments follow."""
        return sums(self.z, self.theta, functions)

    def form(
        self, columns: Int[Tensor, " terms"], functions: FourierFunctions, *options: Any
    ) -> WeakForm:
        """Weak form of the terms in ``columns``, with the ``options`` of :class:`WeakForm`."""
        return WeakForm(self.z, self.theta[:, columns], functions, *options)


@dataclass(frozen=True, eq=False)
class ImageSample(Sample):
    """Standardised images; ``theta`` is the function that gives the values of the terms.

    The moments of all terms are computed once for each seed of the test functionals, and kept in
    ``cache``.
    """

    theta: Theta
    cache: dict[int, Moments] = field(default_factory=dict, repr=False)

    reservoir: ClassVar[int] = 512

    @property
    def observations_per_snapshot(self) -> int:
        """Number of blocks of an image, each of which is an observation."""
        return block_count((self.z.shape[2], self.z.shape[3]))

    @property
    def observation_groups(self) -> Int[Tensor, " observations"]:
        """Number of the group of every block, or of its image if images are independent."""
        images = torch.arange(len(self.z), device=self.z.device)
        groups = images if self.groups is None else self.groups
        return groups.repeat_interleave(self.observations_per_snapshot)

    @cached_property
    def gram(self) -> Float[Tensor, "terms terms"]:
        """Means of the products of two terms."""
        return torch.stack([second_moments(self.theta(x[None].double())) for x in self.z]).mean(0)

    def first(self, count: int) -> "ImageSample":
        if count >= len(self):
            return self  # with what was computed of it
        cache = {k: Moments(*(part[:count] for part in v)) for k, v in self.cache.items()}
        return replace(super().first(count), cache=cache)

    def part(self, chosen: Bool[Tensor, " n"]) -> "ImageSample":
        cache = {k: Moments(*(part[chosen] for part in v)) for k, v in self.cache.items()}
        return replace(super().part(chosen), cache=cache)

    def joined(self, other: "ImageSample", functions: LocalFunctions) -> "ImageSample":
        pairs = zip(self.moments(functions), other.moments(functions), strict=True)
        cache = {functions.seed: Moments(*map(torch.cat, pairs))}
        return replace(super().joined(other, functions), cache=cache)

    def moments(self, functions: LocalFunctions) -> Moments:
        """Moments of all terms against the functionals."""
        known = self.cache.get(functions.seed)
        if known is None or known.blocks.shape[2] < len(functions):
            known = self.cache[functions.seed] = moments(self.z, self.theta, functions)
        return known._replace(blocks=known.blocks[:, :, : len(functions)])

    def sums(self, functions: LocalFunctions) -> Sums:
        """Sums over the images from which the mean moments follow."""
        return self.moments(functions).sums()

    def form(
        self, columns: Int[Tensor, " terms"], functions: LocalFunctions, *options: Any
    ) -> ImageForm:
        """Weak form of the terms in ``columns``, with the ``options`` of :class:`ImageForm`."""
        blocks, gram = self.moments(functions)
        part = Moments(blocks[:, :, :, columns], gram[:, columns][:, :, columns])
        return ImageForm(part, self.observation_groups, *options)
