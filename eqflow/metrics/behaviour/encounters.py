"""Encounters of two objects, and what comes of them."""

from collections import Counter

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from eqflow.metrics.behaviour.link import MEMORY, Tracks
from eqflow.metrics.behaviour.pairs import nearest

CONTACT, PARTED = 1.5, 2.0
"""Distances of two middles, in diameters of an icon, at which an encounter begins and ends: apart
from each other, so that jitter at one of them makes no encounters."""

STAY = 0.25
"""Share of the film that two objects have to stay together up to its end."""

OUTCOMES = ("attract", "merge", "pass", "repel")
"""What comes of an encounter."""


def encounters(tracks: Tracks, steps: int) -> dict[str, int]:
    """Number of encounters by what came of them.

    An encounter begins when two objects that were ``PARTED`` come within ``CONTACT``. Either they
    stay closer than ``PARTED`` until the film ends, for ``STAY`` of it at least (``attract``); or
    one of them is lost while the other lives on (``merge``); or they part again, with a relative
    velocity within a right angle of the one that they met with (``pass``: each goes on its way,
    beside or through the other) or beyond (``repel``: they turned back). Encounters that
    are not decided when the film ends do not count.

    Args:
        tracks: the objects.
        steps: frames before the first and the last moment of an encounter, over which the relative
            velocity is taken.
    """
    ended = Counter(outcome for pair in _met(tracks) for outcome in _outcomes(tracks, *pair, steps))
    return {outcome: ended[outcome] for outcome in OUTCOMES}


def _met(tracks: Tracks) -> set[tuple[int, int]]:
    """Pairs of objects that are ever in contact."""
    canvas, pairs = np.array(tracks.canvas), set()
    for x, seen in zip(tracks.position, tracks.seen, strict=True):
        name = np.flatnonzero(seen)
        tree = cKDTree(x[seen] % canvas % canvas, boxsize=canvas)  # twice: -1e-17 % 1 is 1
        close = tree.query_pairs(2 * CONTACT * tracks.radius, output_type="ndarray")
        pairs |= {(int(i), int(j)) for i, j in name[close]}
    return pairs


def _outcomes(tracks: Tracks, i: int, j: int, steps: int) -> list[str]:
    """Outcomes of the encounters of two objects, in order of time."""
    both = np.flatnonzero(tracks.seen[:, i] & tracks.seen[:, j])
    course = tracks.position[both, i] - tracks.position[both, j]
    apart = np.hypot(*nearest(course, tracks.canvas).T) / (2 * tracks.radius)
    outcomes, free, begun = [], False, None
    for k, distance in enumerate(apart):
        if begun is None and free and distance < CONTACT:
            begun = k
        if distance >= PARTED:
            if begun is not None:
                outcomes.append(_parting(course, begun, k, steps))
            free, begun = True, None
    if begun is not None:
        outcomes += _staying(tracks, i, j, int(both[begun]))
    return outcomes


def _parting(course: Float[np.ndarray, "times 2"], begun: int, ended: int, steps: int) -> str:
    met = course[begun] - course[max(0, begun - steps)]
    left = course[ended] - course[max(begun, ended - steps)]
    return "pass" if met @ left > 0 else "repel"


def _staying(tracks: Tracks, i: int, j: int, begun: int) -> list[str]:
    """Outcome of an encounter that no parting ends; none if it is not decided."""
    end = len(tracks.seen) - 1
    first, second = sorted(int(tracks.span[1, k]) for k in (i, j))
    if first >= end - MEMORY:
        return ["attract"] if end - begun >= STAY * end else []
    return ["merge"] if second > first + MEMORY else []
