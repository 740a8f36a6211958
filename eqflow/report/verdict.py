"""Verdict on a run in words, and the tables of its numbers."""

from collections.abc import Mapping, Sequence

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
from eqflow.report.observed import observation, observed
from eqflow.report.text import ROUNDING_ERROR, SIGMA, chance, number, percent, transit_times

TABLE_HORIZONS = (1.0, 10.0, 100.0)
"""Transit times after which the table shows ``MMD^2 / floor95``."""

CROSS_SIMILARITY, P_VALUE = "truth/cross/", "stationarity/p_value"
"""Measures: ``|cos|`` to a system, whose name follows, and p-value of the stationarity test."""

WORST_EQUATION = "cos, worst equation"
"""Heading: the least cosine of a single equation to the true one."""

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
    WORST_EQUATION: "truth/cos_min",
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

FIRST_COLUMNS = (
    "relative residual",
    "|cos| truth",
    WORST_EQUATION,
    "signed cos",
    "p-value",
    "effect size",
)
"""Columns that follow the ratios in the first table, the most important first."""

FEW = 5
"""Number of columns of the first table."""

TRUE_COSINE = 0.95
"""Smallest cosine to the true velocity, of every equation, of dynamics called the true ones."""

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
    """A run in a few sentences: what holds, then the evidence."""
    return f"{lead(run)} {evidence(run)}"


def lead(run: Sequence[ComparedField]) -> str:
    """What holds, in one plain sentence.

    Of a library, whether the snapshots decide its equations. Of other fields, whether they keep the
    distribution, whether others that know nothing of the dynamics do so as well, and of vectors
    whether their dynamics are the true ones, where these are known. Of objects that were watched,
    what they do.
    """
    fitted = fitted_equations(run[:1])
    if fitted:
        return fitted[0].lead
    if observed(run):
        return observation(run)
    return f"The {run[0].name} {_keeps(run)}{_beside_the_truth(run)}."


def evidence(run: Sequence[ComparedField]) -> str:
    """The numbers that the lead rests on, in a few sentences.

    Whether equations are determined, images are aligned with the truth, the distribution is
    preserved, and the textures of images are.
    """
    equations = (fitted.verdict for fitted in fitted_equations(run[:1]))
    sentences = [*equations, alignment(run), _preserved(run), kept_textures(run)]
    return " ".join(filter(None, sentences))


def _keeps(run: Sequence[ComparedField]) -> str:
    own, horizon = run[0], run[0].headline
    if own.ratio is None:
        return "was not simulated: whether it keeps the distribution is not known"
    after = f"after {transit_times(horizon)}"
    if own.ratio > SAMPLING_NOISE:
        return f"does not keep the distribution: {after} its states differ from held-out ones"
    if longer := [h for h, ratio in own.ratios.items() if h > horizon and ratio > SAMPLING_NOISE]:
        after += f", but not after {longer[0]:g}"
    nulls = {e.name: e.ratios[horizon] for e in run if e.null and horizon in e.ratios}
    if alike := [f"the {name}" for name, ratio in nulls.items() if ratio <= SAMPLING_NOISE]:
        know = "so does {}, which knows" if len(alike) == 1 else "so do {}, which know"
        others = know.format(" and ".join(alike))
        return f"keeps the distribution {after}, but {others} nothing of the dynamics"
    if undecided := [fitted.findings for fitted in fitted_equations(run[1:]) if fitted.many]:
        others = f"so do {undecided[0].dimension} independent fields of the library"
        return f"keeps the distribution {after}, but {others}: it need not be the right one"
    return f"keeps the distribution {after}{', as no null does' if nulls else ''}"


def _beside_the_truth(run: Sequence[ComparedField]) -> str:
    own, *others = [e for e in run if "truth/cos" in e.numbers] or [run[0]]
    if not own.own or "truth/cos" not in own.numbers or len(own.field.shape) > 1:
        return ""
    cosine, nulls = own.numbers["truth/cos"], [e.numbers["truth/cos"] for e in others if e.null]
    least = min(cosine, own.numbers.get("truth/cos_min", cosine))
    if least >= TRUE_COSINE:
        says = "its dynamics are the true ones, up to sign and speed"
    elif nulls and cosine > max(nulls):
        says = "its dynamics are closer to the true ones than those of any null"
    else:
        says = "its dynamics are not the true ones"
    against = f", nulls up to {number(max(nulls))}" if nulls else ""
    return f"; {says} (|cos| {number(cosine)}{against})"


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
    return f"{negation}preserved after {transit_times(horizon)} ({reading}{gone})"


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


def tables(run: Sequence[ComparedField], dim: int) -> list[tuple[list[str], list[list[str]]]]:
    """Headings and cells: a table of a few columns, and one of all others if there are any.

    One row for each field, then the noise floors of each noise level. ``MMD^2`` is that with
    bandwidth 0.5 up to three dimensions, with the median distance beyond. The noise level has a
    column if it is not the same for all fields. Columns without a number are left out.
    """
    columns = _columns(run, dim)
    few = [h for h in (*map(_after, TABLE_HORIZONS), *FIRST_COLUMNS) if h in columns][:FEW]
    first = {h: key for h, key in columns.items() if h in (SIGMA, *few)}
    rest = {h: key for h, key in columns.items() if h not in first}
    return [_table(run, first), *([_table(run, rest)] if rest else [])]


def _table(
    run: Sequence[ComparedField], columns: Mapping[str, str]
) -> tuple[list[str], list[list[str]]]:
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
        columns[_after(h)] = f"{RATIO}{h:g}"
    columns["MMD²"] = "preservation/mmd2_rbf05" if dim <= 3 else "preservation/mmd2_median"
    columns |= TABLE_COLUMNS
    return {h: key for h, key in columns.items() if any(key in e.numbers for e in run)}


def _after(horizon: float) -> str:
    return f"MMD² / floor95 at\N{NO-BREAK SPACE}{horizon:g}"


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
