"""A sweep as an Optuna study in memory, for Optuna's plots and importances."""

import warnings
from collections.abc import Collection, Sequence
from math import isfinite, log10
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from eqflow.report.sweep.comparison import Comparison

LISTED_NUMBERS = 8
"""Most different numbers of an option that are a list, with a tick each, and not a range."""


LISTED_WORDS = 150
"""Most different words of an option that is shown: more names would not fit on an axis."""


LOGARITHMIC_RANGE = 30.0
"""Quotient of the largest and the least positive number beyond which a scale is logarithmic."""


def study_of(sweep: Comparison) -> optuna.Study:
    """The jobs of a sweep that have a finite metric as trials, in increasing order of the metric.

    A trial's parameters are the options that vary: lists of words or of few numbers, ranges of many
    numbers. Its value is the metric, or ``log10`` of a metric that ranges over more than a factor
    of ``LOGARITHMIC_RANGE``; the study's metric name says which.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize" if sweep.maximise else "minimize")
    jobs = sorted(sweep.ranked, key=sweep.value)
    wide = _is_wide([sweep.value(job) for job in jobs])
    name = _escaped(sweep.metric or "")
    with warnings.catch_warnings(action="ignore"):  # names of metrics are experimental
        study.set_metric_names([f"log10 {name}" if wide else name])
    options = {_escaped(n): _parsed([job.overrides.get(n) for job in jobs]) for n in sweep.varying}
    space = {name: _distribution(values) for name, values in options.items()}
    for k, job in enumerate(jobs):
        value = log10(sweep.value(job)) if wide else sweep.value(job)
        given = {n: d for n, d in space.items() if d and options[n][k] is not None}
        params = {name: options[name][k] for name in given}
        study.add_trial(optuna.create_trial(value=value, params=params, distributions=given))
    return study


def _parsed(texts: Sequence[str | None]) -> list[Any]:
    """Values as numbers if all are, whole ones as integers; else as they are written."""
    try:
        numbers = [None if text is None else float(text) for text in texts]
    except ValueError:
        numbers = [float("nan")]
    if all(number is None or isfinite(number) for number in numbers):
        return [int(n) if n is not None and n.is_integer() else n for n in numbers]
    return [None if text is None else _escaped(text) for text in texts]


def _distribution(values: Sequence[Any]) -> BaseDistribution | None:
    """The list or the range of an option's values; None for too many words and for no value."""
    kinds = sorted({value for value in values if value is not None})
    words = any(isinstance(kind, str) for kind in kinds)
    if not kinds or (words and len(kinds) > LISTED_WORDS):
        return None
    if words or len(kinds) <= LISTED_NUMBERS:
        return CategoricalDistribution(kinds)
    return FloatDistribution(kinds[0], kinds[-1], log=_is_wide(kinds))


def _is_wide(numbers: Collection[float]) -> bool:
    return 0 < LOGARITHMIC_RANGE * min(numbers, default=0) < max(numbers, default=0)


def _escaped(text: str) -> str:
    """Dollar signs as they are written: matplotlib would read a formula between two of them."""
    return text.replace("$", r"\$")
