"""The snapshots that a library is fitted to, or tested on."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.stationarity.form import Form, Sums
from eqflow.stationarity.functions import FourierFunctions
from eqflow.stationarity.weak import WeakForm, sums

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
