"""Objects linked over time on a periodic canvas, by the algorithm of Crocker and Grier (1996).

It pairs the objects of successive frames such that the sum of squared distances is least (J.
Colloid Interface Sci. 179, 298). Each axis is bent to a circle here, so that nothing parts its
ends: a distance ``d`` along an axis of length ``L`` becomes ``L / pi sin(pi d / L)``, shorter by
about ``(pi d / L)^2 / 6`` of it.
"""

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from eqflow.metrics.behaviour.locate import Detections

MEMORY = 2
"""Frames during which an object may be lost and is the same when it is found again nearby."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """Objects followed over time; NaN in frames in which an object is not seen.

    Args:
        position: row and column, in pixels, unwrapped: they go on beyond the border.
        angle: angle by which the object is turned counter-clockwise, unwrapped, in radians; NaN for
            objects that look the same from every side.
        match: how well the object matches the icon that it resembles most, in ``[0, 1]``.
        canvas: height and width, in pixels.
        radius: mean radius of the icons, in pixels.
    """

    position: Float[np.ndarray, "frames tracks 2"]
    angle: Float[np.ndarray, "frames tracks"]
    match: Float[np.ndarray, "frames tracks"]
    canvas: tuple[int, int]
    radius: float

    @property
    def seen(self) -> Bool[np.ndarray, "frames tracks"]:
        """Mask of the objects that are seen in each frame."""
        return np.isfinite(self.match)

    @property
    def number(self) -> Int[np.ndarray, " frames"]:
        """Number of objects in each frame."""
        return self.seen.sum(1)

    @cached_property
    def span(self) -> Int[np.ndarray, "2 tracks"]:
        """First and last frame in which each object is seen."""
        last = len(self.seen) - 1 - self.seen[::-1].argmax(0)
        return np.stack([self.seen.argmax(0), last])


def link(detections: Detections, reach: float | None = None) -> Tracks:
    """Detections linked to tracks.

    Args:
        detections: the objects of each frame.
        reach: distance that an object moves at most from one frame to the next, in pixels; the
            radius of the icons if not given.
    """
    frame, canvas = detections.frame, detections.canvas
    track = _identities(detections, detections.radius if reach is None else reach)
    shape = (detections.frames, track.max(initial=-1) + 1)
    position = np.full((*shape, 2), np.nan)
    angle, match, period = (np.full(shape, np.nan) for _ in range(3))
    position[frame, track], angle[frame, track] = detections.position, detections.angle
    match[frame, track] = detections.match
    period[frame, track] = np.array(detections.periods)[detections.species]
    for k in range(shape[1]):
        here = np.isfinite(match[:, k])
        position[here, k] = _unwrapped(position[here, k], np.array(canvas))
        angle[here, k] = _unwrapped(angle[here, k], period[here, k][1:])
    return Tracks(position, angle, match, canvas, detections.radius)


def _unwrapped(
    x: Float[np.ndarray, "n *axis"], period: Real[np.ndarray, "*steps"]
) -> Float[np.ndarray, "n *axis"]:
    """``x`` with each step the shortest of those that differ by multiples of ``period``."""
    steps = np.diff(x, axis=0)
    with np.errstate(invalid="ignore"):  # discs have no angle, and none to come back to
        shortest = steps - period * np.round(steps / period)
    return x[:1] + np.concatenate([0 * x[:1], shortest.cumsum(0)])


def _identities(detections: Detections, reach: float) -> Int[np.ndarray, " n"]:
    """Number of the track that each detection belongs to, counted from zero without gaps."""
    import trackpy  # pandas and numba take seconds to import

    trackpy.quiet()
    ends = np.searchsorted(detections.frame, np.arange(1, detections.frames))
    linked = trackpy.link_iter(
        enumerate(np.split(detections.position, ends)),
        reach,
        memory=MEMORY,
        to_eucl=partial(_on_circles, np.array(detections.canvas)),
        adaptive_stop=reach / 100,  # in crowds that are too dense to try every way of pairing
        adaptive_step=0.8,
    )
    names = [np.array(ids, dtype=int) for _, ids in linked]
    return np.unique(np.concatenate(names), return_inverse=True)[1]


def _on_circles(
    canvas: Int[np.ndarray, " 2"], position: Real[np.ndarray, "n 2"]
) -> Float[np.ndarray, "n 4"]:
    """Places on two circles in space that are as long as the sides of the canvas."""
    angle = 2 * np.pi * position / canvas
    return np.concatenate([np.cos(angle), np.sin(angle)], 1) * np.tile(canvas / (2 * np.pi), 2)
