"""What the numbers say: one sentence, and the table."""

from collections.abc import Sequence

from eqflow.evaluation import ComparedField, Numbers
from eqflow.evaluation.comparison import (
    MEAN_COSINE,
    NOISE_LEVEL,
    ODD_COSINE,
    PUBLISHED_COSINE,
    RATIO,
    spread_of,
)
from eqflow.report.alignment import aligned, kept_textures
from eqflow.report.equations import laws
from eqflow.report.style import ROUNDING, SIGMA, chance, number, percent

SAMPLING_NOISE = 1.5
"""Up to this ``MMD^2 / floor95`` a difference is not told from sampling noise."""


TABLE_HORIZONS = (1.0, 10.0, 100.0)
"""Transit times whose ratio the table shows."""

CROSS_SIMILARITY, P_VALUE = "truth/cross/", "stationarity/p_value"
"""Measures: similarity to one of several systems, which follows, and the stationarity test."""

COLUMNS = {
    "sliced W₂": "preservation/sw2",
    "Sinkhorn": "preservation/sinkhorn",
    "escaped": "preservation/escaped",
    "p-value": P_VALUE,
    "effect size": "stationarity/effect_size",
    "relative residual": "residual/relative",
    "residual, own score": "residual/relative_own_score",
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


def verdict(run: Sequence[ComparedField]) -> str:
    """Was a law recovered, is the distribution preserved; of images, are they like the truth?"""
    sentences = [*(law.verdict for law in laws(run[:1])), aligned(run), _preserved(run)]
    return " ".join(filter(None, [*sentences, kept_textures(run)]))


def _preserved(run: Sequence[ComparedField]) -> str:
    """One sentence: is the distribution preserved, and do the nulls do worse?"""
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
    rated = {e.ratios[horizon]: e.name for e in run if e.null and horizon in e.ratios}
    ends = dict.fromkeys((min(rated), max(rated))) if rated else {}
    reading = " to ".join(f"{number(ratio)} ({rated[ratio]})" for ratio in ends)
    return f"; after {horizon:g} the nulls read {reading}" if rated else ""


def levels(run: Sequence[ComparedField]) -> dict[float, ComparedField]:
    """The noise levels that the fields live at, each with the first field there."""
    first: dict[float, ComparedField] = {}
    for compared in run:
        first.setdefault(compared.sigma, compared)
    return first


def table(run: Sequence[ComparedField], dim: int) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of written numbers: one row per field, the noise floors last.

    Above three dimensions ``MMD^2`` is that of the median bandwidth. Columns without a number are
    left out. Fields at different noise levels have a column that says so, and floors of their own.
    """
    columns = _columns(run, dim)
    rows = [[e.name, *(_cell(e.numbers, key) for key in columns.values())] for e in run]
    for compared in levels(run).values():
        floors = [_floor(compared.numbers, key) for key in columns.values()]
        rows.append(["noise floor, 95\N{NO-BREAK SPACE}%", *floors])
    return ["field", *columns], rows


def crossed(run: Sequence[ComparedField]) -> tuple[list[str], list[list[str]]] | None:
    """Headings and rows: |cos| of every field to the systems that the snapshots might be of."""
    names = list(dict.fromkeys(n for e in run for n in e.numbers if _is_cross(n)))
    if not names:
        return None
    rows = [[e.name, *(_cell(e.numbers, n) for n in names)] for e in run if names[0] in e.numbers]
    return ["field", *(n.removeprefix(CROSS_SIMILARITY) for n in names)], rows


def _is_cross(name: str) -> bool:
    return name.startswith(CROSS_SIMILARITY) and not name.endswith("_std")


def _columns(run: Sequence[ComparedField], dim: int) -> dict[str, str]:
    """Heading -> name of the measure."""
    columns = {SIGMA: NOISE_LEVEL} if len(levels(run)) > 1 else {}
    columns |= {
        f"MMD² / floor95 at\N{NO-BREAK SPACE}{h:g}": f"{RATIO}{h:g}" for h in TABLE_HORIZONS
    }
    columns["MMD²"] = "preservation/mmd2_rbf05" if dim <= 3 else "preservation/mmd2_median"
    columns |= COLUMNS
    return {h: key for h, key in columns.items() if any(key in e.numbers for e in run)}


def _cell(numbers: Numbers, key: str) -> str:
    if key == P_VALUE and key in numbers:
        return chance(numbers[key])
    spread = spread_of(numbers, key) or 0.0
    return number(numbers.get(key)) + (
        f" ± {float(f'{spread:.1g}'):g}" if spread > ROUNDING else ""
    )


def _floor(numbers: Numbers, key: str) -> str:
    if key.startswith((RATIO, "fields/")):
        return "1"
    return number(numbers.get(FLOOR_MEASURES.get(key, "")))
