"""A sweep as an Optuna study in memory, for Optuna's plots and importances."""

import warnings
from collections.abc import Collection, Sequence
from math import isfinite, log10
from typing import TYPE_CHECKING, Any

from eqflow.report.sweep.comparison import Comparison

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

LISTED_NUMBERS = 8
"""Different numbers up to which they are a list, each with a tick of its own, and not a range."""


LISTED_WORDS = 150
"""Different words beyond which an option is left out: their names would not fit on an axis."""


LOGARITHMIC_RANGE = 30.0
"""Quotient of the largest and the least positive number beyond which a scale is logarithmic."""


def study_of(sweep: Comparison) -> "optuna.Study":
    """The jobs with a finite metric as trials, in increasing order of it.

    Parameters are the options that vary: lists of words and of few numbers, ranges of many numbers.
    The value is the metric, or ``log10`` of one that ranges over more than a factor of
    ``LOGARITHMIC_RANGE``; the study's metric name says which.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize" if sweep.maximise else "minimize")
    jobs = sorted(sweep.ranked, key=sweep.value)
    wide = bool(jobs) and _is_wide([sweep.value(job) for job in jobs])
    name = _escaped(sweep.metric or "")
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        study.set_metric_names([f"log10 {name}" if wide else name])
    options = {_escaped(n): _parsed([job.overrides.get(n) for job in jobs]) for n in sweep.varying}
    known = {name: _distribution(values) for name, values in options.items()}
    space = {name: distribution for name, distribution in known.items() if distribution}
    for k, job in enumerate(jobs):
        value = log10(sweep.value(job)) if wide else sweep.value(job)
        params = {n: options[n][k] for n in space if options[n][k] is not None}
        distributions = {n: space[n] for n in params}
        trial = optuna.create_trial(value=value, params=params, distributions=distributions)
        study.add_trial(trial)
    return study


def _parsed(texts: Sequence[str | None]) -> list[Any]:
    """All as numbers if they are, whole ones as integers, else as they are written; or None."""
    try:
        numbers = [None if text is None else float(text) for text in texts]
    except ValueError:
        numbers = [float("nan")]
    if all(number is None or isfinite(number) for number in numbers):
        return [int(n) if n is not None and n.is_integer() else n for n in numbers]
    return [None if text is None else _escaped(text) for text in texts]


def _distribution(values: Sequence[Any]) -> "BaseDistribution | None":
    """A list or a range of the values; None for too many words, and where none was given."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    kinds = sorted({value for value in values if value is not None})
    words = bool(kinds) and isinstance(kinds[0], str)
    if not kinds or (words and len(kinds) > LISTED_WORDS):
        return None
    if words or len(kinds) <= LISTED_NUMBERS:
        return CategoricalDistribution(kinds)
    return FloatDistribution(kinds[0], kinds[-1], log=_is_wide(kinds))


def _is_wide(numbers: Collection[float]) -> bool:
    return 0 < LOGARITHMIC_RANGE * min(numbers) < max(numbers)


def _escaped(text: str) -> str:
    """Dollar signs as they are written: matplotlib would read a formula between two of them."""
    return text.replace("$", r"\$")
