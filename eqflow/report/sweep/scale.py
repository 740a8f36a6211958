"""Where values are on an axis that may hold words, a few numbers or many."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import LogLocator, MaxNLocator

from eqflow.report.style import number

Heights = Float[np.ndarray, "jobs"]


NONE = number(None)
"""What stands for an override that a job does not have."""


BELOW = -0.07
"""Height of jobs that have no number, on an axis of numbers."""


FEW = 8
"""Different numbers up to which an axis gives each a band of its own, as it does to words."""


WIDE = 30.0
"""Quotient of the 95 % and the 5 % quantile above which a scale is logarithmic, as it is where half
of the values are in the lowest quarter."""


WORDS = 90
"""Bands of an axis above which not all are named."""


@dataclass(frozen=True)
class Scale:
    """Where the jobs are on an axis, 0 the lowest and 1 the highest, and what is written there."""

    heights: Heights
    ticks: dict[float, str]
    band: float = 0.0


def scale(values: Sequence[str]) -> Scale:
    """Bands for words and for few numbers, a linear or logarithmic scale for many numbers."""
    parsed = np.array([_parsed(value) for value in values])
    known = np.array([value != NONE for value in values])
    if np.isfinite(parsed[known]).all() and len(set(parsed[known])) > FEW:
        return _beside_none(numbers(parsed[known]), known)
    return _bands(values)


def _beside_none(one: Scale, known: Bool[np.ndarray, "jobs"]) -> Scale:
    """A scale of numbers for all jobs: below it those that have none."""
    if known.all():
        return one
    heights = np.full(len(known), BELOW)
    heights[known] = one.heights
    return Scale(heights, {BELOW: NONE, **one.ticks})


def _parsed(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return float("nan")


def _words_last(value: str) -> tuple[bool, float, str]:
    parsed = _parsed(value)
    return not isfinite(parsed), parsed if isfinite(parsed) else 0.0, value


def numbers(values: Heights) -> Scale:
    """A scale from the least to the largest number, logarithmic where they spread widely."""
    low, high = values.min(), values.max()
    few, middle, many = np.quantile(np.unique(values), (0.05, 0.5, 0.95))
    logarithmic = low > 0 and (many > WIDE * few or middle < low + (high - low) / 4)
    norm = LogNorm(low, high) if logarithmic else Normalize(low, high)
    subs = (1.0,) if high > 100 * low else (1.0, 2.0, 5.0)
    locator = LogLocator(subs=subs) if logarithmic else MaxNLocator(5)
    inside = [tick for tick in locator.tick_values(low, high) if low <= tick <= high] or [low]
    return Scale(np.asarray(norm(values)), {float(norm(tick)): number(tick) for tick in inside})


def _bands(values: Sequence[str]) -> Scale:
    """Inside a band lines keep the order they are given in, so that none hides another."""
    kinds = sorted(set(values), key=_words_last)
    heights, band = np.empty(len(values)), 0.7 / len(kinds)
    centres = (np.arange(len(kinds)) + 0.5) / len(kinds)
    for kind, centre in zip(kinds, centres, strict=True):
        members = [row for row, value in enumerate(values) if value == kind]
        heights[members] = centre + band * ((np.arange(len(members)) + 0.5) / len(members) - 0.5)
    step = -(-len(kinds) // WORDS)
    return Scale(heights, dict(zip(centres[::step], kinds[::step], strict=True)), band)
