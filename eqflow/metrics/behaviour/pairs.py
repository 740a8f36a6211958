"""Pair correlation of objects on a periodic canvas."""

import numpy as np
from jaxtyping import Float

from eqflow.metrics.behaviour.link import Tracks


def pair_correlation(
    tracks: Tracks, bins_per_radius: int = 4
) -> tuple[Float[np.ndarray, " bins"], Float[np.ndarray, " bins"]]:
    """Pair correlation ``g(r)``: pairs at a distance over those of objects placed independently.

    ``n`` independent objects on a torus of area ``A`` have ``n (n - 1) / 2`` pairs, of which a
    share ``a / A`` is in the bin whose ring has the area ``a``, up to half the shorter side. The
    pairs of all frames are added up.

    Returns:
        Middles of the bins in pixels, and ``g``; NaN if no frame has two objects.
    """
    edges = np.arange(0, min(tracks.canvas) / 2, tracks.radius / bins_per_radius)
    counts, pairs = np.zeros(len(edges) - 1), 0
    for x, seen in zip(tracks.position, tracks.seen, strict=True):
        i, j = np.triu_indices(int(seen.sum()), 1)
        apart = nearest(x[seen][i] - x[seen][j], tracks.canvas)
        counts += np.histogram(np.hypot(*apart.T), edges)[0]
        pairs += len(i)
    expected = pairs * np.pi * np.diff(edges**2) / (tracks.canvas[0] * tracks.canvas[1])
    with np.errstate(invalid="ignore"):
        return (edges[1:] + edges[:-1]) / 2, counts / expected


def nearest(
    difference: Float[np.ndarray, "*n 2"], canvas: tuple[int, int]
) -> Float[np.ndarray, "*n 2"]:
    """The shortest of the vectors that lead from an object to the images of another."""
    return difference - np.array(canvas) * np.round(difference / np.array(canvas))
