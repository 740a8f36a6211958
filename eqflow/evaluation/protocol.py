"""The protocol of an evaluation: horizons, numbers of states and of random draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from eqflow.errors import InputError

HEADLINE = 10.0
"""Transit times after which the headline ``preservation/mmd2_ratio`` is taken."""

FEWEST_FRAMES = 21
"""Frames that a film has at least: velocities are taken over a tenth of it."""


@dataclass(frozen=True)
class Protocol:
    """What is measured, and with how many states; times are in transit times.

    ``starts`` states are simulated to the ``horizons`` and compared with as many others. The
    resampling floor is taken over ``splits`` random splits; ``transport`` adds sliced Wasserstein-2
    and the Sinkhorn divergence at the headline horizon, the latter with 256 states and 50 splits.
    Displacements are taken over ``displaced`` images, 0 for none: they are most of the cost of an
    evaluation. Lyapunov exponents are taken over ``chaos`` trajectories, 0 for none, for
    ``chaos_duration`` after ``chaos_transient``, in which states and tangents settle. Objects of
    images are watched for the time ``behaviour``, 0 for not at all, in ``behaviour_frames`` frames
    on a square canvas of the side ``behaviour_canvas``, from pure ``noise`` or from a held-out
    image of the ``data``, repeated. Raises ``InputError`` for numbers out of range.
    """

    horizons: Sequence[float | int] = (1, 2, 5, 10, 20, 50, 100)
    starts: int = 1000
    splits: int = 200
    transport: bool = True
    displaced: int = 16
    chaos: int = 16
    chaos_transient: float = 20.0
    chaos_duration: float = 100.0
    behaviour: float = 0.0
    behaviour_canvas: int = 128
    behaviour_frames: int = 101
    behaviour_start: str = "noise"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "horizons", tuple(sorted({float(h) for h in self.horizons})))
        if not self.horizons or not 0 < self.horizons[0] <= self.horizons[-1] < inf:
            raise InputError(f"protocol.horizons={[*self.horizons]}: expected times > 0")
        if self.starts < 2 or self.splits < 1:
            raise InputError(
                f"protocol.starts={self.starts}, protocol.splits={self.splits}: "
                "expected at least 2 starts and 1 split"
            )
        for name, count in (("displaced", self.displaced), ("chaos", self.chaos)):
            if count < 0:
                raise InputError(f"protocol.{name}={count}: expected a number >= 0")

        if not (self.behaviour >= 0 and self.behaviour_frames >= FEWEST_FRAMES):
            raise InputError(
                f"protocol.behaviour={self.behaviour}, behaviour_frames={self.behaviour_frames}: "
                f"expected a time >= 0 and at least {FEWEST_FRAMES} frames"
            )
        if self.behaviour_canvas < 4 or self.behaviour_canvas % 4:
            raise InputError(
                f"protocol.behaviour_canvas={self.behaviour_canvas}: expected a multiple of 4"
            )
        if self.behaviour_start not in ("noise", "data"):
            raise InputError(
                f"protocol.behaviour_start={self.behaviour_start}: expected noise or data"
            )

    @property
    def headline(self) -> float:
        """The headline horizon, or the last one if the protocol is shorter."""
        return HEADLINE if HEADLINE in self.horizons else self.horizons[-1]


FULL = Protocol()
"""What the evaluate stage measures unless told otherwise."""
