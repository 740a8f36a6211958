"""What the similarity of a score-based image field says, whichever way it falls."""

from collections.abc import Sequence
from math import hypot

from eqflow.evaluation import ComparedField, Numbers
from eqflow.evaluation.comparison import MEAN_COSINE, ODD_COSINE, spread_of
from eqflow.report.style import number

ERRORS = 2.0
"""Standard errors by which a field must be beyond a null."""


def aligned(run: Sequence[ComparedField]) -> str:
    """One or two sentences: is the run's field like the truth beyond chance and every null?

    Empty where the truth is not known, for vectors and for fields of clean images.
    """
    own, numbers = run[0], run[0].numbers
    if MEAN_COSINE not in numbers or not own.sigma:
        return ""
    unbeaten = [e for e in run if e.null and MEAN_COSINE in e.numbers and not _beyond(own, e)]
    chance = abs(numbers[MEAN_COSINE]) <= ERRORS * _error(numbers)
    known = f"signed cosine {_spread(numbers, MEAN_COSINE)} over {numbers['truth/images']:g} images"
    if chance:
        says = f"not aligned with the true velocity: its {known} is not told from zero"
    elif unbeaten:
        against = ", ".join(f"{e.name} {_reading(e)}" for e in unbeaten)
        says = f"not aligned with the true velocity beyond the nulls ({known}, against {against})"
    else:
        way = "aligned with" if numbers[MEAN_COSINE] > 0 else "opposed to"
        says = f"{way} the true velocity beyond every null measured ({known})"
    return f"The field is {says}.{_displaced(numbers)}"


def kept_textures(run: Sequence[ComparedField]) -> str:
    """One sentence on structure factor and histogram after the last horizon."""
    numbers = run[0].numbers
    ratios = {n: numbers.get(f"fields/{n}_ratio") for n in ("structure", "histogram")}
    if None in ratios.values():
        return ""
    kept = all(ratio is not None and ratio <= 1 for ratio in ratios.values())
    return (
        f"After {max(run[0].ratios, default=0):g} transit times structure factor and one-point "
        f"histogram are {'within' if kept else 'not both within'} their resampling floors "
        f"({number(ratios['structure'])} and {number(ratios['histogram'])} times)."
    )


def _beyond(own: ComparedField, null: ComparedField) -> bool:
    """Farther from zero than a null, whose sign is as free as the field's own."""
    gap = abs(own.numbers[MEAN_COSINE]) - _size(null.numbers)
    return gap > ERRORS * hypot(_error(own.numbers), _error(null.numbers))


def _size(numbers: Numbers) -> float:
    """Distance of a null from zero; of random maps, whose signs cancel, the mean of theirs."""
    return numbers["truth/cos"] if f"{MEAN_COSINE}_std" in numbers else abs(numbers[MEAN_COSINE])


def _error(numbers: Numbers) -> float:
    """Standard error over images; of random maps the spread, as the field could be one of them."""
    if f"{MEAN_COSINE}_std" in numbers:
        return numbers["truth/cos_std"]
    return numbers["truth/cos_std"] / numbers["truth/images"] ** 0.5


def _reading(compared: ComparedField) -> str:
    random = f"{MEAN_COSINE}_std" in compared.numbers
    return _spread(compared.numbers, "truth/cos" if random else MEAN_COSINE)


def _displaced(numbers: Numbers) -> str:
    return (
        f" Odd displacement: cosine {_spread(numbers, ODD_COSINE)}."
        if ODD_COSINE in numbers
        else ""
    )


def _spread(numbers: Numbers, name: str) -> str:
    return f"{number(numbers[name])} ± {number(spread_of(numbers, name), 2)}"
