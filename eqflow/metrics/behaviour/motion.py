"""Motion of tracked objects: displacement, persistence, polar order and rotation."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped
from torch import Tensor

from eqflow.metrics.behaviour.link import Tracks


@dataclass(frozen=True, eq=False)
class Motion:
    """How tracked objects move; means are over objects and times, NaN where there are none.

    Lengths are in pixels, angles in radians.

    Args:
        tracks: the objects.
        dt: time between two frames.
        lag: time over which velocities are taken, rounded to whole frames: long enough that objects
            move farther than they are misplaced, which is .1 pixel or less for icons of 16.
    """

    tracks: Tracks
    dt: float
    lag: float

    @property
    def steps(self) -> int:
        """Frames that velocities are taken over."""
        return max(1, round(self.lag / self.dt))

    @property
    def lags(self) -> Float[np.ndarray, " lags"]:
        """Lags of :attr:`mean_squared_displacement`, up to half the film."""
        return self.dt * np.arange(len(self.tracks.match) // 2 + 1)

    @property
    def mean_squared_displacement(self) -> Float[np.ndarray, " lags"]:
        """``E |x(t + lag) - x(t)|^2``: as the lag in diffusion, as its square if directed."""
        x = self.tracks.position
        return np.array([mean(_change(x, k) ** 2) * 2 for k in range(len(self.lags))])

    @cached_property
    def velocity(self) -> Float[np.ndarray, "times tracks 2"]:
        """``(x(t + lag) - x(t)) / lag`` at successive frames."""
        return _change(self.tracks.position, self.steps) / (self.steps * self.dt)

    @property
    def speed(self) -> float:
        """Root mean square of the velocity."""
        return float((2 * mean(self.velocity**2)) ** 0.5)

    @property
    def displacement(self) -> float:
        """Root mean square displacement over the lag."""
        return self.speed * self.steps * self.dt

    @property
    def drift(self) -> float:
        """Length of the mean velocity: that of a current which carries all objects along."""
        return float(np.hypot(mean(self.velocity[..., 0]), mean(self.velocity[..., 1])))

    @property
    def autocorrelation(self) -> Float[np.ndarray, " lags"]:
        """``E v(t) . v(t + lag) / E |v|^2`` at the lags of a frame, up to half the velocities.

        Velocities that are less than ``lag`` apart share displacements: in diffusion it falls
        linearly to zero at ``lag``, and stays there.
        """
        v = self.velocity
        products = [mean(v[k:] * v[: len(v) - k]) for k in range(len(v) // 2 + 1)]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.array(products) / products[0]

    @property
    def persistence_time(self) -> float:
        """Time by which the autocorrelation of velocities falls to ``1 / e``, interpolated.

        The last lag of :attr:`autocorrelation` if it does not fall so far: a lower bound.
        """
        rho = self.autocorrelation
        if np.isnan(rho[0]):
            return float("nan")
        below = np.flatnonzero(rho < np.exp(-1))
        if not len(below):
            return self.dt * (len(rho) - 1)
        k = int(below[0])
        return self.dt * float(k - 1 + (rho[k - 1] - np.exp(-1)) / (rho[k - 1] - rho[k]))

    @property
    def persists(self) -> bool:
        """Whether :attr:`persistence_time` is only a lower bound."""
        return bool((self.autocorrelation >= np.exp(-1)).all())

    @property
    def polar_order(self) -> float:
        """Length of the mean of the directions of motion, the mean over times.

        1 for objects that move in parallel; :attr:`chance_order` for independent directions. Times
        with fewer than two moving objects do not count.
        """
        return mean(np.linalg.norm(np.nansum(self._directions, 1), axis=-1) / self._moving)

    @property
    def chance_order(self) -> float:
        """Polar order of ``n`` independent directions, ``sqrt(pi / (4 n))`` for large ``n``."""
        return mean(np.sqrt(np.pi / 4 / self._moving))

    @cached_property
    def _directions(self) -> Float[np.ndarray, "times tracks 2"]:
        with np.errstate(invalid="ignore"):  # an object at rest has no direction
            return self.velocity / np.linalg.norm(self.velocity, axis=-1, keepdims=True)

    @property
    def _moving(self) -> Float[np.ndarray, " times"]:
        number = np.isfinite(self._directions[..., 0]).sum(1)
        return np.where(number > 1, number, np.nan)

    @property
    def turning(self) -> Float[np.ndarray, "times tracks"]:
        """Angular velocity of the objects' own rotation over the lag, counter-clockwise."""
        return _change(self.tracks.angle, self.steps) / (self.steps * self.dt)

    @property
    def rotation(self) -> float:
        """Mean of the absolute angular velocity."""
        return mean(np.abs(self.turning))

    @property
    def net_rotation(self) -> float:
        """Mean angular velocity, counter-clockwise: not zero if objects prefer one sense."""
        return mean(self.turning)


class Watched(NamedTuple):
    """A film in red, green and blue, and the motion of the objects in it."""

    film: Float[Tensor, "frames 3 height width"]
    motion: Motion


def _change(x: Float[np.ndarray, "frames *axes"], steps: int) -> Float[np.ndarray, "times *axes"]:
    return x[steps:] - x[: max(0, len(x) - steps)]


def mean(x: Shaped[np.ndarray, "..."]) -> float:
    """Mean of what is not NaN; NaN if nothing is."""
    known = x[np.isfinite(x)]
    return float(known.mean()) if len(known) else float("nan")
