"""What the numbers say: one sentence, and the table."""

from collections.abc import Sequence

from eqflow.report.entry import LEVEL, RATIO, Entry, Numbers
from eqflow.report.laws import laws
from eqflow.report.style import SIGMA, chance, number, percent

NOISE = 1.5
"""Up to this ``MMD^2 / floor95`` a difference is not told from sampling noise."""

HORIZONS = (1.0, 10.0, 100.0)
"""Transit times whose ratio the table shows."""

P_VALUE = "stationarity/p_value"

MEASURES = {
    "sliced W₂": "preservation/sw2",
    "Sinkhorn": "preservation/sinkhorn",
    "escaped": "preservation/escaped",
    "p-value": P_VALUE,
    "effect size": "stationarity/effect_size",
    "relative residual": "residual/relative",
    "residual, own score": "residual/relative_own_score",
    "|cos| truth": "truth/cos",
    "|cos| smoothed": "truth/cos_smoothed",
}
"""Columns of the table after the ratios: heading -> name of the measure."""

FLOORS = {
    LEVEL: LEVEL,
    "preservation/mmd2_rbf05": "preservation/mmd2_floor95",
    "preservation/mmd2_median": "preservation/mmd2_floor95",
    "preservation/sw2": "preservation/sw2_floor95",
    "preservation/sinkhorn": "preservation/sinkhorn_floor95",
    "residual/relative": "residual/relative_floor",
}


def verdict(run: Sequence[Entry]) -> str:
    """Was a law recovered, if that was the question; is the distribution preserved?"""
    return " ".join([*(law.verdict for law in laws(run[:1])), _preserved(run)])


def _preserved(run: Sequence[Entry]) -> str:
    """One sentence: is the distribution preserved, and do the nulls do worse?"""
    own = run[0]
    if not own.ratios:
        return "Whether the distribution is preserved was not measured."
    kept = " and ".join(_kept(own, h) for h in dict.fromkeys((own.headline, max(own.ratios))))
    return f"The distribution is {kept}{_against_nulls(run)}."


def _kept(own: Entry, horizon: float) -> str:
    ratio, escaped = own.ratios[horizon], own.escaped(horizon)
    reading = f"MMD² at {number(ratio)} times its noise floor"
    gone = f", {percent(escaped)} of the states escaped" if escaped else ""
    negation = "" if ratio <= NOISE else "not "
    return f"{negation}preserved after {horizon:g} transit times ({reading}{gone})"


def _against_nulls(run: Sequence[Entry]) -> str:
    horizon = run[0].headline
    rated = {e.ratios[horizon]: e.name for e in run if e.null and horizon in e.ratios}
    ends = dict.fromkeys((min(rated), max(rated))) if rated else {}
    reading = " to ".join(f"{number(ratio)} ({rated[ratio]})" for ratio in ends)
    return f"; after {horizon:g} the nulls read {reading}" if rated else ""


def levels(run: Sequence[Entry]) -> dict[float, Entry]:
    """The noise levels that the fields live at, each with the first field there."""
    first: dict[float, Entry] = {}
    for entry in run:
        first.setdefault(entry.sigma, entry)
    return first


def table(run: Sequence[Entry], dim: int) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of written numbers: one row per field, the noise floors last.

    Above three dimensions ``MMD^2`` is that of the median bandwidth. Columns without a number are
    left out. Fields at different noise levels have a column that says so, and floors of their own.
    """
    columns = _columns(run, dim)
    rows = [[e.name, *(_cell(e.numbers, key) for key in columns.values())] for e in run]
    for entry in levels(run).values():
        floors = [_floor(entry.numbers, key) for key in columns.values()]
        rows.append(["noise floor, 95\N{NO-BREAK SPACE}%", *floors])
    return ["field", *columns], rows


def _columns(run: Sequence[Entry], dim: int) -> dict[str, str]:
    """Heading -> name of the measure."""
    columns = {SIGMA: LEVEL} if len(levels(run)) > 1 else {}
    columns |= {f"MMD² / floor95 at\N{NO-BREAK SPACE}{h:g}": f"{RATIO}{h:g}" for h in HORIZONS}
    columns["MMD²"] = "preservation/mmd2_rbf05" if dim <= 3 else "preservation/mmd2_median"
    columns |= MEASURES
    return {h: key for h, key in columns.items() if any(key in e.numbers for e in run)}


def _cell(numbers: Numbers, key: str) -> str:
    if key == P_VALUE and key in numbers:
        return chance(numbers[key])
    spread = numbers.get(f"{key}_std")
    return number(numbers.get(key)) + (f" ± {spread:.1g}" if spread is not None else "")


def _floor(numbers: Numbers, key: str) -> str:
    if key.startswith(RATIO):
        return "1"
    return number(numbers.get(FLOORS.get(key, "")))
