"""The one measure that ranks fields of all families: preservation, and within chance the condition.

Distances within chance are alike: a search that prefers the least of them prefers noise.
"""

from eqflow.evaluation.comparison import Numbers

SAMPLING_NOISE = 1.5
"""Largest ``MMD^2 / floor95`` that is taken for sampling noise."""

RANK = "preservation/rank"
"""The measure: the smaller, the better; below 1 where the distribution is kept within chance."""


def ranked(numbers: Numbers) -> dict[str, float]:
    """The rank of a field by its other ``numbers``; nothing where all of its states escaped.

    Beyond ``SAMPLING_NOISE`` the rank is the ratio ``MMD^2 / floor95`` itself, within it
    ``e / (1 + e)`` with ``e >= 0`` the violation of the condition: the relative residual less its
    floor, or the effect size of a field that has no score.
    """
    ratio = numbers.get("preservation/mmd2_ratio")
    if ratio is None:
        return {}
    excess = max(0.0, _violation(numbers))
    return {RANK: ratio if ratio > SAMPLING_NOISE else excess / (1 + excess)}


def _violation(numbers: Numbers) -> float:
    """Zero, but for errors, of a field that meets the condition."""
    if "residual/relative" in numbers:
        return numbers["residual/relative"] - numbers["residual/relative_floor"]
    return numbers.get("stationarity/effect_size", 0.0)
