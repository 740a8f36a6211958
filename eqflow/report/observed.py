"""What objects in images do under a run's fields: one sentence, and a table of numbers."""

from collections.abc import Sequence
from math import inf

from eqflow.evaluation import ComparedField, Numbers
from eqflow.report.text import number, percent

PREFIX, REST = "behaviour/", "null/rest/behaviour/"
"""What the names of the measures begin with: of a field, and of restoring noise alone."""

REST_NAME = "restoring noise alone"
"""What a reader calls the path without a field."""

COLUMNS = {
    "density / data": "density_ratio",
    "whole": "whole",
    "persistent": "persistent",
    "moved (px)": "displacement",
    "moved / noise alone": "displacement_ratio",
    "polar order": "polar_order",
    "order by chance": "polar_order_chance",
    "persistence time": "persistence_time",
    "encounters": "encounters",
}
"""Columns of the table: heading -> name of the measure."""

MOSTLY = 0.5
"""Least share of whole icons among objects that are called icons."""

KEPT = (0.8, 1.25)
"""Ratios of two numbers of objects that are called the same."""

MOVING = 1.5
"""Least displacement, over that under noise alone, that is called motion of the field's own."""

FLOCKING = (2.0, 1.5)
"""Least polar order of a flock, over that of independent directions and over any null's."""

FEW = 0.5
"""Largest polar order by chance, that of three objects, at which flocking is judged."""

CURRENT = 0.5
"""Least drift, over the speed, of objects that one current carries."""

MET = 10
"""Fewest encounters from which something is concluded."""


def observed(run: Sequence[ComparedField]) -> dict[str, Numbers]:
    """Name -> measures of behaviour, of the run's field, of noise alone, and of other fields.

    Empty where the objects of the run's own field were not watched.
    """
    own, *others = run
    seen = {own.name: _named(own.numbers, PREFIX), REST_NAME: _named(own.numbers, REST)}
    seen |= {e.name: _named(e.numbers, PREFIX) for e in others}
    return {name: numbers for name, numbers in seen.items() if numbers} if seen[own.name] else {}


def table(run: Sequence[ComparedField]) -> tuple[list[str], list[list[str]]] | None:
    """Headings and cells of the measures of behaviour; None where nothing was watched."""
    rows = observed(run)
    columns = {h: key for h, key in COLUMNS.items() if any(key in row for row in rows.values())}
    cells = [
        [name, *(number(row.get(key)) for key in columns.values())] for name, row in rows.items()
    ]
    return (["field", *columns], cells) if rows else None


def observation(run: Sequence[ComparedField]) -> str:
    """What the objects do, in one sentence; empty where they were not watched."""
    if not (seen := observed(run)):
        return ""
    own, *_ = seen.values()
    nulls = dict([*seen.items()][1:])
    if not own["number"]:
        return _vanished(nulls.get(REST_NAME, {}))
    whole = own.get("whole", 0.0)
    kept = f"{'Icons' if whole >= MOSTLY else 'Objects'} {_number(own)}, {_whole(whole)}"
    if "displacement_ratio" not in own:
        return f"{kept}; none of them could be followed."
    return f"{kept}, and they {_motion(own)}; {_flock(own, nulls)}{_meetings(own, nulls)}."


def _named(numbers: Numbers, prefix: str) -> Numbers:
    """The measures whose names begin with ``prefix``, without it."""
    return {n.removeprefix(prefix): v for n, v in numbers.items() if n.startswith(prefix)}


def _vanished(rest: Numbers) -> str:
    if rest.get("number"):
        return f"No icon remains under the field, while {REST_NAME} keeps some."
    return (
        f"No icons are found, neither under the field nor under {REST_NAME}: "
        "the score model does not make them."
    )


def _number(own: Numbers) -> str:
    density, drift = own["density_ratio"], own.get("number_drift", inf)
    if not KEPT[0] <= drift <= KEPT[1]:
        way = "fewer" if drift < 1 else "more"
        return f"become {way} ({number(density)} of the data's density)"
    but = "" if KEPT[0] <= density <= KEPT[1] else ", but not that of the data"
    return f"keep their number{but} ({number(density)} of the data's density)"


def _whole(share: float) -> str:
    if not round(share, 2):
        return "but none is a whole icon"
    few = "" if share >= MOSTLY else "but only "
    return f"{few}{percent(round(share, 2))} are whole{'' if share >= MOSTLY else ' icons'}"


def _motion(own: Numbers) -> str:
    ratio = own["displacement_ratio"]
    if ratio < MOVING:
        return f"move hardly farther than under noise alone ({number(ratio)} times)"
    return f"move {number(ratio)} times as far as under noise alone"


def _flock(own: Numbers, nulls: dict[str, Numbers]) -> str:
    """Whether the objects move in parallel, beyond chance, nulls, and a current of all of them."""
    if "polar_order" not in own or own["polar_order_chance"] > FEW:
        return "they are too few to speak of flocking"
    order, chance = own["polar_order"], own["polar_order_chance"]
    read = f"polar order {number(order, 2)}, chance {number(chance, 2)}"
    if order < FLOCKING[0] * chance or own["displacement_ratio"] < MOVING:
        return f"no flocking: {read}"
    if own["drift"] >= CURRENT * own["speed"]:
        return f"no flocking but a current that carries all of them: {read}"
    orders = {n: null["polar_order"] for n, null in nulls.items() if "polar_order" in null}
    ordered = [n for n, null in orders.items() if order < FLOCKING[1] * null]
    if ordered:
        return f"no flocking beyond the nulls: {read}, {ordered[0]} {number(orders[ordered[0]], 2)}"
    return f"they flock: {read}"


def _meetings(own: Numbers, nulls: dict[str, Numbers]) -> str:
    """Attraction, if it is what most encounters end with, and more of them than under any null."""
    met, share = own.get("encounters", 0), own.get("attract", 0.0)
    error = max(met, 1) ** -0.5  # twice the standard error of a share of one half
    most = max((null.get("attract", 0.0) for null in nulls.values()), default=0.0)
    if met < MET or share < 0.5 or share - error <= most:
        return ""
    return f"; they attract each other: {percent(round(share, 2))} of {met:g} encounters last"
