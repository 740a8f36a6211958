"""Sentences on image fields: their alignment with the true velocity, and the textures they keep."""

from collections.abc import Sequence
from math import hypot

from eqflow.evaluation import ComparedField, Numbers
from eqflow.evaluation.comparison import MEAN_COSINE, ODD_COSINE, spread_of
from eqflow.report.text import number, transit_times

STANDARD_ERRORS = 2.0
"""Standard errors by which a cosine must exceed zero, and that of a null, to differ from it."""


def alignment(run: Sequence[ComparedField]) -> str:
    """Whether the run's own field is aligned with the true velocity beyond chance and all nulls.

    One or two sentences. Empty where the truth is not known, for vectors, and at noise level 0.
    """
    own, numbers = run[0], run[0].numbers
    if MEAN_COSINE not in numbers or not own.sigma:
        return ""
    nulls = [null for null in run if null.null and MEAN_COSINE in null.numbers]
    unbeaten = [
        f"{null.name} {_spread(null.numbers, _cosine(null.numbers))}"
        for null in nulls
        if not _beyond(own, null)
    ]
    known = f"signed cosine {_spread(numbers, MEAN_COSINE)} over {numbers['truth/images']:g} images"
    if abs(numbers[MEAN_COSINE]) <= STANDARD_ERRORS * _error(numbers):
        says = f"not aligned with the true velocity: its {known} does not differ from zero"
    elif unbeaten:
        against = ", ".join(unbeaten)
        says = f"not aligned with the true velocity beyond the nulls ({known}, against {against})"
    else:
        way = "aligned with" if numbers[MEAN_COSINE] > 0 else "opposed to"
        says = f"{way} the true velocity beyond every null measured ({known})"
    if ODD_COSINE in numbers:
        says += f". Odd displacement: cosine {_spread(numbers, ODD_COSINE)}"
    return f"The field is {says}."


def kept_textures(run: Sequence[ComparedField]) -> str:
    """Whether structure factor and histogram are preserved after the last horizon: one sentence.

    Empty where they were not measured.
    """
    own = run[0]
    names = ("fields/structure_ratio", "fields/histogram_ratio")
    ratios = [own.numbers[name] for name in names if name in own.numbers]
    if len(ratios) < 2:
        return ""
    kept = all(ratio <= 1 for ratio in ratios)
    return (
        f"After {transit_times(max(own.ratios, default=0))} structure factor and one-point "
        f"histogram are {'within' if kept else 'not both within'} their resampling "
        f"floors ({number(ratios[0])} and {number(ratios[1])} times)."
    )


def _beyond(own: ComparedField, null: ComparedField) -> bool:
    """Whether a field's cosine is farther from zero than a null's, beyond their errors."""
    gap = abs(own.numbers[MEAN_COSINE]) - abs(null.numbers[_cosine(null.numbers)])
    return gap > STANDARD_ERRORS * hypot(_error(own.numbers), _error(null.numbers))


def _cosine(numbers: Numbers) -> str:
    """Name of a null's cosine: random maps have either sign, so their mean ``|cos|`` counts."""
    return "truth/cos" if _random(numbers) else MEAN_COSINE


def _random(numbers: Numbers) -> bool:
    """Whether numbers are means over random maps."""
    return f"{MEAN_COSINE}_std" in numbers


def _error(numbers: Numbers) -> float:
    """Standard error over images; of random maps their spread, as a field is compared with one."""
    images = 1 if _random(numbers) else numbers["truth/images"]
    return numbers["truth/cos_std"] / images**0.5


def _spread(numbers: Numbers, name: str) -> str:
    """A measure and its standard deviation."""
    return f"{number(numbers[name])} ± {number(spread_of(numbers, name), 2)}"
