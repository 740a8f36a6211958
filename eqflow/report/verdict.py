"""Verdict on a run in words, and the tables of its numbers."""

from collections.abc import Sequence

from eqflow.evaluation import SAMPLING_NOISE, ComparedField, Numbers
from eqflow.evaluation.comparison import (
    MEAN_COSINE,
    NOISE_LEVEL,
    ODD_COSINE,
    PUBLISHED_COSINE,
    RATIO,
    spread_of,
)
from eqflow.report.alignment import alignment, kept_textures
from eqflow.report.equations import fitted_equations
from eqflow.report.text import ROUNDING_ERROR, SIGMA, chance, number, percent

TABLE_HORIZONS = (1.0, 10.0, 100.0)
"""Transit times after which the table shows ``MMD^2 / floor95``."""

CROSS_SIMILARITY, P_VALUE = "truth/cross/", "stationarity/p_value"
"""Measures: ``|cos|`` to a system, whose name follows, and p-value of the stationarity test."""

TABLE_COLUMNS = {
    "sliced W₂": "preservation/sw2",
    "Sinkhorn": "preservation/sinkhorn",
    "escaped": "preservation/escaped",
    "p-value": P_VALUE,
    "effect size": "stationarity/effect_size",
    "relative residual": "residual/relative",
    "residual, own score": "residual/relative_own_score",
    "cos to its network": "network/cos",
    "|cos| truth": "truth/cos",
    "|cos| smoothed": "truth/cos_smoothed",
    "cos to known velocities": "velocities/cos",
    "speed by known velocities": "velocities/speed",
    "signed cos": MEAN_COSINE,
    "signed cos, noise-free": "truth/clean/cos_mean",
    "odd displacement": ODD_COSINE,
    "published displacement": PUBLISHED_COSINE,
    "structure / floor95": "fields/structure_ratio",
    "histogram / floor95": "fields/histogram_ratio",
}
"""Columns of the table after the ratios: heading -> name of the measure."""

FLOOR_MEASURES = {
    NOISE_LEVEL: NOISE_LEVEL,
    "preservation/mmd2_rbf05": "preservation/mmd2_floor95",
    "preservation/mmd2_median": "preservation/mmd2_floor95",
    "preservation/sw2": "preservation/sw2_floor95",
    "preservation/sinkhorn": "preservation/sinkhorn_floor95",
    "residual/relative": "residual/relative_floor",
}
"""Measure in the table -> its noise floor, in the last rows."""


def verdict(run: Sequence[ComparedField]) -> str:
    """A run in a few sentences.

    Whether equations were recovered, images are aligned with the truth, the distribution is
    preserved, and the textures of images are.
    """
    equations = (fitted.verdict for fitted in fitted_equations(run[:1]))
    sentences = [*equations, alignment(run), _preserved(run), kept_textures(run)]
    return " ".join(filter(None, sentences))


def _preserved(run: Sequence[ComparedField]) -> str:
    """Whether the run's own field preserves the distribution, and the nulls: one sentence."""
    own = run[0]
    if not own.ratios:
        return "Whether the distribution is preserved was not measured."
    kept = " and ".join(_kept(own, h) for h in dict.fromkeys((own.headline, max(own.ratios))))
    return f"The distribution is {kept}{_against_nulls(run)}."


def _kept(own: ComparedField, horizon: float) -> str:
    ratio, escaped = own.ratios[horizon], own.escaped(horizon)
    reading = f"MMD² at {number(ratio)} times its noise floor"
    gone = f", {percent(escaped)} of the states escaped" if escaped else ""
    negation = "" if ratio <= SAMPLING_NOISE else "not "
    return f"{negation}preserved after {horizon:g} transit times ({reading}{gone})"


def _against_nulls(run: Sequence[ComparedField]) -> str:
    horizon = run[0].headline
    nulls = {e.ratios[horizon]: e.name for e in run if e.null and horizon in e.ratios}
    if not nulls:
        return ""
    ends = dict.fromkeys((min(nulls), max(nulls)))
    reading = " to ".join(f"{number(ratio)} ({nulls[ratio]})" for ratio in ends)
    return f"; after {horizon:g} the nulls read {reading}"


def levels(run: Sequence[ComparedField]) -> dict[float, ComparedField]:
    """Noise levels of the fields, each with the first field at it."""
    sigmas = dict.fromkeys(compared.sigma for compared in run)
    return {sigma: next(e for e in run if e.sigma == sigma) for sigma in sigmas}


def table(run: Sequence[ComparedField], dim: int) -> tuple[list[str], list[list[str]]]:
    """Headings and cells: one row for each field, then the noise floors of each noise level.

    ``MMD^2`` is that with bandwidth 0.5 up to three dimensions, with the median distance beyond.
    The noise level has a column if it is not the same for all fields. Columns without a number are
    left out.
    """
    columns = _columns(run, dim)
    rows = [[e.name, *(_cell(e.numbers, key) for key in columns.values())] for e in run]
    for compared in levels(run).values():
        floors = [_floor(compared.numbers, key) for key in columns.values()]
        rows.append(["noise floor, 95\N{NO-BREAK SPACE}%", *floors])
    return ["field", *columns], rows


def crossed(run: Sequence[ComparedField]) -> tuple[list[str], list[list[str]]] | None:
    """Headings and cells: ``|cos|`` of each field to several systems, one of them the true one.

    None where it was not measured.
    """
    measures = dict.fromkeys(n for e in run for n in e.numbers if n.startswith(CROSS_SIMILARITY))
    names = [name for name in measures if not name.endswith("_std")]
    if not names:
        return None
    rows = [[e.name, *(_cell(e.numbers, n) for n in names)] for e in run if names[0] in e.numbers]
    return ["field", *(n.removeprefix(CROSS_SIMILARITY) for n in names)], rows


def _columns(run: Sequence[ComparedField], dim: int) -> dict[str, str]:
    """Heading -> name of the measure, for those that were measured."""
    columns = {SIGMA: NOISE_LEVEL} if len(levels(run)) > 1 else {}
    for h in TABLE_HORIZONS:
        columns[f"MMD² / floor95 at\N{NO-BREAK SPACE}{h:g}"] = f"{RATIO}{h:g}"
    columns["MMD²"] = "preservation/mmd2_rbf05" if dim <= 3 else "preservation/mmd2_median"
    columns |= TABLE_COLUMNS
    return {h: key for h, key in columns.items() if any(key in e.numbers for e in run)}


def _cell(numbers: Numbers, key: str) -> str:
    """A measure with its spread, if it has one."""
    if key == P_VALUE and key in numbers:
        return chance(numbers[key])
    spread = spread_of(numbers, key) or 0.0
    written = f" ± {float(f'{spread:.1g}'):g}" if spread > ROUNDING_ERROR else ""
    return number(numbers.get(key)) + written


def _floor(numbers: Numbers, key: str) -> str:
    if key.startswith((RATIO, "fields/")):
        return "1"
    return number(numbers.get(FLOOR_MEASURES.get(key, "")))
