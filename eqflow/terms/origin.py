"""Origins that polynomials are written about, for variables that stay far from zero.

The monomials of ``x`` and those of ``x - o`` span the same functions. Where a variable varies
little about a large mean, as a temperature in kelvin does, the first are nearly combinations of
each other, and the simplest law in them is a difference of large terms.
"""

from math import floor, log10

FAR_FROM_ZERO = 10.0
"""Standard deviations from zero beyond which the mean of a variable calls for another origin."""

CLOSE = 0.2
"""Largest distance of an origin from the mean, in standard deviations.

It is above the error of a mean, so that an origin of few digits is met, and well below one."""


def origin_near(mean: float, std: float) -> float:
    """The shortest number within ``CLOSE`` of ``mean`` if that is far from zero, else zero.

    >>> origin_near(293.17, 5.0), origin_near(1e8 + 3.2, 2.0), origin_near(-0.01213, 4e-4)
    (293.0, 100000003.0, -0.0121)
    >>> origin_near(23.5, 8.6)
    0.0
    """
    if abs(mean) <= FAR_FROM_ZERO * std:
        return 0.0
    place = floor(log10(abs(mean)))
    while abs(round(mean, -place) - mean) > CLOSE * std:
        place -= 1
    return round(mean, -place)
