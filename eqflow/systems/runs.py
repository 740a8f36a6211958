"""Samples of stationary distributions, and runs that may die out and are then replaced."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from eqflow.errors import InputError


class Sample(NamedTuple):
    """Raw states of a stationary distribution; states of one run are correlated, and a group.

    ``groups`` is None if all states are independent.
    """

    states: Float[Tensor, "n *shape"]
    groups: Int[Tensor, " n"] | None = None


log = logging.getLogger("eqflow")


CHECK_INTERVAL = 500
"""Steps between two checks for runs that have died out, which would cost as much as others."""


MIN_RUNS_TRIED = 200
"""Runs that are tried before a sampler gives up."""


MIN_SHARE_ALIVE = 0.01
"""Share of the tried runs that must survive."""


GOLDEN_RATIO = (5**0.5 - 1) / 2
"""Fractional part of the golden ratio."""


@dataclass(frozen=True)
class Schedule:
    """Times at which states of a run are kept.

    Args:
        settle: Time before the first state that is kept.
        per_run: Number of states kept of each run.
        every: Time between two of them.
        dt: Step of the integration.

    Raises ``InputError`` for a step or number that is not positive, and for times below a step.
    """

    settle: float = 10_000.0
    per_run: int = 1
    every: float = 500.0
    dt: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.dt < float("inf"):
            raise InputError(f"data.dt={self.dt}: expected a step > 0")
        if not isinstance(self.per_run, int) or self.per_run < 1:
            raise InputError(f"data.per_run={self.per_run}: expected an integer >= 1")
        for name, time in (("settle", self.settle), ("every", self.every)):
            if not self.dt <= time < float("inf"):
                raise InputError(f"data.{name}={time}: expected a time of one step or more")

    @property
    def steps(self) -> list[int]:
        """Number of steps to the first state that is kept, and to each following one."""
        settle, every = (round(time / self.dt) for time in (self.settle, self.every))
        return [settle] + [every] * (self.per_run - 1)

    def delay(self, number: int) -> int:
        """Additional steps that run ``number`` takes first: up to a fifth of ``settle``.

        Runs that start in phase may keep oscillating in phase. Multiples of the golden ratio spread
        the delays evenly, for any number of runs.
        """
        return round(self.settle / 100 / self.dt) * int(20 * (number * GOLDEN_RATIO % 1))


@dataclass(frozen=True)
class Runs:
    """Simulated runs, numbered from 0, some of which die out.

    Args:
        start: Initial state of a run, by its number.
        advance: Takes a number of steps of a batch of states, in place.
        lives: Mask of the states that have not died out.
        schedule: Times at which states are kept.
        most: Largest number of runs in a batch.
        name: What messages call these runs.
    """

    start: Callable[[int], Tensor]
    advance: Callable[[Tensor, int], None]
    lives: Callable[[Tensor], Tensor]
    schedule: Schedule
    most: int
    name: str

    def survivors(self, wanted: int) -> Iterator[Float[Tensor, "runs kept *shape"]]:
        """States of the first ``wanted`` runs that survive, by their numbers, a batch at a time.

        Logs how many died out. Raises ``InputError`` if fewer than ``MIN_SHARE_ALIVE`` survive.
        """
        tried = lived = 0
        while lived < wanted and not (tried >= MIN_RUNS_TRIED and lived < MIN_SHARE_ALIVE * tried):
            missing = round(1.1 * (wanted - lived) * tried / max(1, lived)) + 4
            count = min(self.most, max(wanted, MIN_RUNS_TRIED), missing if tried else wanted)
            new = self.kept(range(tried, tried + count))
            yield new[: wanted - lived]
            tried, lived = tried + count, lived + len(new)
        died = f"{tried - lived} of {tried} runs of {self.name} died out"
        if lived < wanted:
            raise InputError(f"data: {died}; expected a larger data.grid or another preset")
        log.info(
            "data: %s%s", died, "; a larger data.grid loses fewer" if 2 * lived < tried else ""
        )

    def kept(self, numbers: range) -> Float[Tensor, "runs kept *shape"]:
        """States of those of these runs that survive to the last one that is kept."""
        states = self._delayed(torch.stack([self.start(number) for number in numbers]), numbers)
        kept: list[Tensor] = []
        title = f"{self.name}, runs {numbers.start}-{numbers.stop - 1}"
        with tqdm(total=sum(self.schedule.steps), desc=title, leave=False, disable=None) as bar:
            for steps in self.schedule.steps:
                for first in range(0, steps if len(states) else 0, CHECK_INTERVAL):
                    self.advance(states, part := min(CHECK_INTERVAL, steps - first))
                    bar.update(part)
                    living = self.lives(states)
                    states, kept = states[living], [x[living] for x in kept]
                kept.append(states.clone())
        return torch.stack(kept, 1)

    def _delayed(
        self, states: Float[Tensor, "runs *shape"], numbers: range
    ) -> Float[Tensor, "runs *shape"]:
        delays = torch.tensor([self.schedule.delay(number) for number in numbers])
        past = 0
        for delay in sorted({*delays.tolist(), 0})[1:]:
            late = (delays >= delay).to(states.device)
            part = states[late]
            self.advance(part, delay - past)
            states[late], past = part, delay
        return states
