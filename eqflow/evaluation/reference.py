"""What fields at one noise level are compared with: held-out states, noise floors, the true system.

Distances between finite samples of one distribution are not zero. Their *resampling floor* is what
random splits of the held-out states read (method section 8).
"""

from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from eqflow.data import Snapshots, random_half
from eqflow.evaluation.protocol import Protocol
from eqflow.fields import VelocityField
from eqflow.metrics import (
    PROFILES,
    Growth,
    median_bandwidth,
    mmd2_splits,
    profile_splits,
    sinkhorn_divergence,
    sliced_w2_splits,
)
from eqflow.metrics.behaviour import Watched
from eqflow.runtime import Draws, generator
from eqflow.score import EmpiricalScore
from eqflow.simulate import RK4, Stable, bounding_radius, stiffness

SINKHORN_STATES, SINKHORN_SPLITS = 256, 50
"""States of each half, and splits, that the floor of the Sinkhorn divergence is taken over."""

DISPLACEMENT_TIME = 0.5
"""Transit times of the displacement of images."""

STEPS_PER_DECAY = 8
"""Time step of true images, times the rate at which their shortest waves decay.

Reactions are slower by a factor of ten; for patterns nearly at rest that is still many times in a
transit time."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Held-out states at noise level ``sigma``, and all that does not depend on a field.

    States are those of the test split of ``snapshots`` with noise ``sigma eps``, standardised; the
    ``protocol`` says how many. Everything is computed when it is first asked for, and kept. What
    was simulated of a field when it was last measured is kept for the figures, while the field
    lives: its states by horizon in ``paths``, the growth of its tangents in ``growths``, the film
    of its objects in ``watched``.
    """

    snapshots: Snapshots
    sigma: float
    protocol: Protocol
    paths: WeakKeyDictionary[VelocityField, dict[float, Tensor]] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False
    )
    growths: WeakKeyDictionary[VelocityField, Growth] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False
    )
    watched: WeakKeyDictionary[VelocityField, Watched] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False
    )

    @property
    def images(self) -> bool:
        """Whether states are images ``(C, H, W)``."""
        return len(self.snapshots.shape) > 1

    @cached_property
    def _halves(self) -> tuple[Tensor, Tensor]:
        n = min(self.protocol.starts, len(self.snapshots.test) // 2)
        x = self.noised(self.snapshots.test[: 2 * n])
        return x[:n], x[n:]

    @property
    def initial(self) -> Float[Tensor, "n *shape"]:
        """States that simulations start from: the first half of those that are used."""
        return self._halves[0]

    @property
    def held_out(self) -> Float[Tensor, "n *shape"]:
        """States that simulated ones are compared with: the second half."""
        return self._halves[1]

    def noised(self, x: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *shape"]:
        """States at the noise level ``sigma``; the noise follows the seed of the protocol."""
        return noised(x, self.sigma, self.protocol.seed, Draws.HELD_OUT)

    @cached_property
    def radius(self) -> float:
        """Norm beyond which a state has escaped: twice the largest of the training states."""
        return bounding_radius(noised(self.snapshots.train, self.sigma, 0, Draws.NORMALISATION))

    @cached_property
    def bandwidths(self) -> dict[str, float]:
        """Bandwidths of the Gaussian kernel, by the suffix of the measure that uses them."""
        median = {"median": median_bandwidth(self.held_out)}
        # between images, which are tens apart, a kernel of bandwidth 0.5 vanishes
        return median if self.images else {"rbf05": 0.5} | median

    @property
    def bandwidth(self) -> float:
        """0.5 up to three dimensions, the median distance beyond."""
        return self.bandwidths["rbf05" if self.snapshots.test[0].numel() <= 3 else "median"]

    @property
    def entropic(self) -> bool:
        """Whether the Sinkhorn divergence is taken: among images it does not converge."""
        return self.protocol.transport and not self.images

    @cached_property
    def splits(self) -> Bool[Tensor, "two_n splits"]:
        """First halves of random splits of all held-out states, one column for each.

        Correlated states, those of one group, are on the same side, as they are in the two halves.
        """
        n = 2 * len(self.initial)
        groups = (
            None if self.snapshots.test_groups is None else self.snapshots.test_groups[:n].cpu()
        )
        draw = generator(self.protocol.seed, Draws.FLOOR)
        firsts = [random_half(n, groups, draw) for _ in range(self.protocol.splits)]
        return torch.stack(firsts, dim=1).to(self.initial.device)

    @cached_property
    def floor(self) -> dict[str, float]:
        """Distances between random halves of the held-out states: mean and 95th percentile."""
        states = torch.cat(self._halves)
        null = {"mmd2": mmd2_splits(states, self.bandwidth, self.splits)}
        if self.protocol.transport:
            null["sw2"] = sliced_w2_splits(states, self.splits)
        if self.entropic:
            n = SINKHORN_STATES
            pairs = [(states[k][:n], states[~k][:n]) for k in self.splits.T[:SINKHORN_SPLITS]]
            null["sinkhorn"] = torch.stack([sinkhorn_divergence(x, y) for x, y in pairs])
        return {f"{name}_floor": draws.mean().item() for name, draws in null.items()} | {
            f"{name}_floor95": draws.quantile(0.95).item() for name, draws in null.items()
        }

    @cached_property
    def profile_floor(self) -> dict[str, float]:
        """The 95th percentile of the distances of images' profiles (structure, histogram)."""
        states = torch.cat(self._halves)
        return {
            f"{name}_floor95": profile_splits(states, name, self.splits).quantile(0.95).item()
            for name in PROFILES
        }

    @cached_property
    def empirical_score(self) -> tuple[Tensor, Tensor]:
        """Empirical score at the initial states, and an error of the size of its own.

        The scores of two halves of the snapshots differ with four times the variance of the error
        of the whole's.
        """
        x, sigma, train = self.initial, self.sigma, self.snapshots.train
        first, second = (EmpiricalScore(part)(x, sigma) for part in train.chunk(2))
        return EmpiricalScore(train)(x, sigma), (first - second) / 2

    @cached_property
    def true_velocities(self) -> tuple[Tensor, Tensor]:
        """True velocity at the initial states, and its smoothed form ``E[v(x_0) | x]``."""
        x, velocity = self.initial, self.snapshots.velocity
        assert velocity is not None
        if not self.sigma:
            return velocity(x), velocity(x)
        at_train = velocity(self.snapshots.train)
        smoothed = EmpiricalScore(self.snapshots.train).posterior_mean(x, self.sigma, at_train)
        return velocity(x), smoothed

    @cached_property
    def displaced(self) -> tuple[Tensor, Tensor]:
        """Noised held-out images, and the displacement of the clean ones by the true system."""
        x = spread_out(self.snapshots.test, self.protocol.displaced)
        path = true_path(self.snapshots, x, torch.tensor([0.0, DISPLACEMENT_TIME]))
        assert path is not None
        return self.noised(x), path[-1] - x


def noised(
    x: Float[Tensor, "n *shape"], sigma: float, seed: int, draws: Draws
) -> Float[Tensor, "n *shape"]:
    """``x + sigma eps`` with standard normal ``eps``, the same in every process."""
    draw = generator(seed, draws, device=x.device)
    return x + sigma * torch.randn(x.shape, generator=draw, dtype=x.dtype, device=x.device)


def spread_out(x: Float[Tensor, "n *shape"], most: int) -> Float[Tensor, "few *shape"]:
    """At most ``most`` of the states, evenly spaced, as neighbours may be of one run."""
    few = min(most, len(x))
    return x[[i * len(x) // few for i in range(few)]]


def true_path(
    snapshots: Snapshots, x0: Float[Tensor, "n *shape"], times: Float[Tensor, " times"]
) -> Float[Tensor, "times n *shape"] | None:
    """States of the true system from clean ``x0``, at unit speed; None where it is not known.

    Unit speed is that over the held-out states. Images are taken to react and diffuse, which is
    stiff in transit times.
    """
    velocity = snapshots.velocity
    if velocity is None:
        return None
    unit = velocity(snapshots.test).square().mean().rsqrt()

    def at_unit_speed(x: Tensor) -> Tensor:
        return unit * velocity(x)

    if len(snapshots.shape) == 1:
        return RK4(0.05)(at_unit_speed, x0, times)
    step = min(0.05, STEPS_PER_DECAY / max(1.0, stiffness(at_unit_speed, x0).radius))
    return Stable(step)(at_unit_speed, x0, times)
