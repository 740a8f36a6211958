"""The behaviour of objects as numbers under names."""

from math import isfinite, nan

from eqflow.metrics.behaviour.encounters import encounters
from eqflow.metrics.behaviour.link import MEMORY, Tracks
from eqflow.metrics.behaviour.locate import WHOLE
from eqflow.metrics.behaviour.motion import Motion, mean


def behaviour(motion: Motion, expected: float) -> dict[str, float]:
    """How objects behave in numbers; those that there are no objects to take of are left out.

    Lengths are in pixels, times in the unit of ``motion.dt``, angles in radians. If nothing was
    found, ``number`` and ``density_ratio`` are 0 and there is no other. The number, its ratios and
    ``whole`` are means over the second half of the film, the rest is of all of it.

    Args:
        motion: the objects, and the time over which velocities are taken.
        expected: number of objects that the canvas would hold at the density of the data.
    """
    tracks = motion.tracks
    half = len(tracks.seen) // 2
    early, number = mean(tracks.number[:half]), mean(tracks.number[half:])
    outcomes = encounters(tracks, motion.steps)
    met = sum(outcomes.values())
    values = {
        "number": number,
        "density_ratio": number / expected,
        "number_drift": number / early if early else nan,
        "whole": mean(tracks.match[half:][tracks.seen[half:]] >= WHOLE),
        "persistent": persistent(tracks),
        "displacement": motion.displacement,
        "speed": motion.speed,
        "drift": motion.drift,
        "persistence_time": motion.persistence_time,
        "polar_order": motion.polar_order,
        "polar_order_chance": motion.chance_order,
        "rotation": motion.rotation,
        "net_rotation": motion.net_rotation,
        "encounters": met if tracks.seen.any() else nan,
        **{outcome: count / met for outcome, count in outcomes.items() if met},
    }
    return {name: float(value) for name, value in values.items() if isfinite(value)}


def persistent(tracks: Tracks) -> float:
    """Share of the objects alive in the middle of the film that live to its end.

    A life may end ``MEMORY`` frames early, the time for which a track may be lost; NaN if none
    is alive.
    """
    first, last = tracks.span
    middle, end = len(tracks.seen) // 2, len(tracks.seen) - 1
    return mean(last[(first <= middle) & (last >= middle)] >= end - MEMORY)
