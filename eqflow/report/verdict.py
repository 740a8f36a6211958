"""What the numbers say: one sentence, and the table."""

from collections.abc import Sequence

from eqflow.report.entry import RATIO, Entry, Numbers
from eqflow.report.style import number, percent

NOISE = 1.5
"""Up to this ``MMD^2 / floor95`` a difference is not told from sampling noise."""

HORIZONS = (1.0, 10.0, 100.0)
"""Transit times whose ratio the table shows."""

MEASURES = {
    "sliced W₂": "preservation/sw2",
    "Sinkhorn": "preservation/sinkhorn",
    "escaped": "preservation/escaped",
    "relative residual": "residual/relative",
    "residual, own score": "residual/relative_own_score",
    "|cos| truth": "truth/cos",
    "|cos| smoothed": "truth/cos_smoothed",
}
"""Columns of the table after the ratios: heading -> name of the measure."""

FLOORS = {
    "preservation/mmd2_rbf05": "preservation/mmd2_floor95",
    "preservation/mmd2_median": "preservation/mmd2_floor95",
    "preservation/sw2": "preservation/sw2_floor95",
    "preservation/sinkhorn": "preservation/sinkhorn_floor95",
    "residual/relative": "residual/relative_floor",
}


def verdict(run: Sequence[Entry]) -> str:
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


def table(run: Sequence[Entry], dim: int) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of written numbers: one row per field, the noise floors last.

    Above three dimensions ``MMD^2`` is that of the median bandwidth. Columns without a number are
    left out.
    """
    main = "mmd2_rbf05" if dim <= 3 else "mmd2_median"
    columns = {f"MMD² / floor95 at\N{NO-BREAK SPACE}{h:g}": f"{RATIO}{h:g}" for h in HORIZONS}
    columns |= {"MMD²": f"preservation/{main}"} | MEASURES
    columns = {h: key for h, key in columns.items() if any(key in e.numbers for e in run)}
    rows = [[e.name, *(_cell(e.numbers, key) for key in columns.values())] for e in run]
    floors = [_floor(run[0].numbers, key) for key in columns.values()]
    return ["field", *columns], [*rows, ["noise floor, 95\N{NO-BREAK SPACE}%", *floors]]


def _cell(numbers: Numbers, key: str) -> str:
    spread = numbers.get(f"{key}_std")
    return number(numbers.get(key)) + (f" ± {spread:.1g}" if spread is not None else "")


def _floor(numbers: Numbers, key: str) -> str:
    if key.startswith(RATIO):
        return "1"
    return number(numbers.get(FLOORS.get(key, "")))
