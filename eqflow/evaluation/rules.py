"""Rules of artificial life: whether objects live under them, and ranks to search for some.

A rank is negative only where objects live. Where they do not, it is how far the film is from that,
so that a search finds its way to rules under which they do.
"""

from collections.abc import Mapping
from math import inf, sqrt

BOUNDS = {"density_ratio": (0.7, 1.4), "whole": (0.9, inf), "persistent": (0.8, inf)}
"""Measure of behaviour -> its least and its largest value where objects live."""


def broken(numbers: Mapping[str, float]) -> dict[str, float]:
    """Measure out of its ``BOUNDS`` -> by how much; empty where objects live.

    ``numbers`` are those of a film, without ``behaviour/``; what was not measured counts as zero.
    """
    found = {name: numbers.get(name, 0.0) for name in BOUNDS}
    excess = {n: max(low - found[n], found[n] - high) for n, (low, high) in BOUNDS.items()}
    return {name: value for name, value in excess.items() if value > 0}


def ranks(numbers: Mapping[str, float]) -> dict[str, float]:
    """Ranks of a rule, the smaller the better: ``rank_fastest`` and ``rank_flocking``.

    Where objects live: minus the speed that restoring noise alone does not give, in pixels per
    transit time; and minus the polar order above chance, 1 if all objects move in parallel, times
    the share of the mean square displacement that restoring noise does not give. Elsewhere both are
    the sum of what is out of bounds.
    """
    if beyond := sum(broken(numbers).values()):
        return {"rank_fastest": beyond, "rank_flocking": beyond}
    own = driven(numbers)
    chance = numbers.get("polar_order_chance", 0.0)
    order = max(0.0, numbers.get("polar_order", 0.0) - chance) / (1 - chance)
    speed = numbers.get("speed", 0.0) * sqrt(own)
    return {"rank_fastest": 0.0 - speed, "rank_flocking": 0.0 - order * own}


def driven(numbers: Mapping[str, float]) -> float:
    """Share of the mean square displacement that restoring noise alone does not give.

    ``max(0, 1 - 1 / r^2)`` with the ratio ``r`` of displacements; 1 where there is no noise.
    """
    ratio = numbers.get("displacement_ratio", inf)
    return max(0.0, 1 - ratio**-2) if ratio else 0.0
