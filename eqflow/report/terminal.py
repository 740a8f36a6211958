"""What a run has found, as text for a terminal: verdict, equations, and a small table.

Nothing here draws figures.
"""

from collections.abc import Mapping, Sequence
from io import StringIO
from shutil import get_terminal_size
from textwrap import fill

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table

from eqflow.evaluation import SAMPLING_NOISE, ComparedField, Numbers
from eqflow.evaluation.comparison import MEAN_COSINE, RATIO
from eqflow.report.equations import FittedEquations, fitted_equations
from eqflow.report.observed import observed
from eqflow.report.text import chance, number
from eqflow.report.verdict import P_VALUE, TABLE_HORIZONS, evidence, lead

COLUMNS = {
    **{f"at {horizon:g}": f"{RATIO}{horizon:g}" for horizon in TABLE_HORIZONS},
    "residual": "residual/relative",
    "|cos|": "truth/cos",
    "signed cos": MEAN_COSINE,
    "exponent": "chaos/lyapunov_max",
    "p-value": P_VALUE,
}
"""Columns of the table: heading -> name of the measure."""

IMPORTANCE = ("at 10", "|cos|", "residual", "exponent", "at 100", "at 1", "signed cos", "p-value")
"""Columns in the order in which they are kept where there is room for a few."""

BEHAVIOUR_COLUMNS = {
    "density": "density_ratio",
    "whole": "whole",
    "moved": "displacement_ratio",
    "order": "polar_order",
    "chance": "polar_order_chance",
    "met": "encounters",
    "lives": "persistent",
    "pixels": "displacement",
    "keeps": "persistence_time",
}
"""Columns of the table of behaviour, the most important first: heading -> name of the measure."""

BEHAVIOUR_MEANINGS = {
    "density": "number of icons over that of the data",
    "whole": "share of them that is whole",
    "moved": "displacement over that of noise alone",
    "order": "polar order, 1 if all move in parallel",
    "chance": "polar order of independent directions",
    "met": "encounters",
    "lives": "share that lives to the end of the film",
    "pixels": "displacement in a tenth of the film",
    "keeps": "time for which the velocity is kept",
}
"""What the headings of the table of behaviour stand for."""

WIDEST = 80
"""Largest width of the text in characters."""

MAX_COEFFICIENTS, MAX_EQUATION_LINES = 15, 30
"""Largest number of coefficients with intervals, and of lines of equations, that are shown."""


def terminal_width() -> int:
    """Characters in a line of the terminal, at most ``WIDEST``."""
    return min(WIDEST, max(20, get_terminal_size((WIDEST, 24)).columns))


def judged(run: Sequence[ComparedField], width: int = WIDEST) -> str:
    """What holds of a run, the evidence, and the verdict on equations beside its own field."""
    beside = [f"Beside it: {fit.verdict}" for fit in fitted_equations(run[1:])]
    return "\n".join(_filled(sentences, width) for sentences in (lead(run), evidence(run), *beside))


def summary(run: Sequence[ComparedField], width: int = WIDEST) -> str:
    """Equations with their intervals, behaviour of objects, a row of numbers for each field."""
    equations = (_equations(fit, width) for fit in fitted_equations(run))
    parts = [*equations, _behaviour(run, width), _numbers(run, width)]
    return "\n\n".join(filter(None, parts))


def _equations(fit: FittedEquations, width: int) -> str:
    """Equations of a library, and the intervals of their coefficients if they are few."""
    text = fit.equations.text().splitlines()
    lines = [part for line in text for part in _filled(line, width, "        ").splitlines()]
    if len(lines) > MAX_EQUATION_LINES:
        lines = [*lines[:MAX_EQUATION_LINES], "... the page shows all of them"]
    rows = fit.equations.rows()
    if len(rows) > MAX_COEFFICIENTS:
        return "\n".join(lines)
    intervals = [
        [r.equation, r.term, f"{r.value:#.4g}", f"{r.low:#.4g} to {r.high:#.4g}"] for r in rows
    ]
    headings = ["equation", "term", "value", "95 % interval"]
    return "\n".join([*lines, "", _text(_table(headings, intervals), width)])


def _numbers(run: Sequence[ComparedField], width: int) -> str:
    """A row for each field and, where chaos was measured, one for the true system."""
    rows: dict[str, Numbers] = {compared.name: compared.numbers for compared in run}
    own = run[0].numbers
    if any(name.startswith("truth/chaos/lyapunov_max") for name in own):
        rows["true system"] = {"chaos/lyapunov_max": own["truth/chaos/lyapunov_max"]}
    measured = {name for numbers in rows.values() for name in numbers}
    columns = {heading: name for heading, name in COLUMNS.items() if name in measured}
    if not columns:
        return ""
    table = _fitting(rows, columns, IMPORTANCE, width)
    return f"{_text(table, width)}\n{_filled(_legend(columns), width)}"


def _behaviour(run: Sequence[ComparedField], width: int) -> str:
    """A row for each field whose objects were watched, and one for restoring noise alone."""
    rows = observed(run)
    if not rows:
        return ""
    columns = dict(BEHAVIOUR_COLUMNS)
    table = _fitting(rows, columns, tuple(columns), width)
    meanings = (f"{heading}: {BEHAVIOUR_MEANINGS[heading]}." for heading in columns)
    return f"{_text(table, width)}\n{_filled(' '.join(meanings), width)}"


def _fitting(
    rows: Mapping[str, Numbers], columns: dict[str, str], importance: Sequence[str], width: int
) -> Table:
    """A table with the most important of ``columns`` for which there is room; drops the others."""
    for heading in reversed([heading for heading in importance if heading in columns]):
        if _width(_fields(rows, columns)) <= width or len(columns) == 1:
            break
        del columns[heading]
    return _fields(rows, columns)


def _fields(rows: Mapping[str, Numbers], columns: Mapping[str, str]) -> Table:
    cells = [
        [field, *(_cell(numbers, name) for name in columns.values())]
        for field, numbers in rows.items()
    ]
    return _table(["field", *columns], cells)


def _legend(columns: Mapping[str, str]) -> str:
    """What the headings stand for."""
    ratios = ", ".join(heading for heading in columns if heading.startswith("at "))
    meanings = {
        ratios: "MMD² / floor95 after so many transit times; up to "
        f"{SAMPLING_NOISE:g} is sampling noise",
        "exponent": "the largest Lyapunov exponent, in inverse transit times",
    }
    shown = (heading for heading in meanings if heading and heading in (ratios, *columns))
    return " ".join(f"{heading}: {meanings[heading]}." for heading in shown)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for k, heading in enumerate(headings):
        numeric = all(row[k][-1:].isdigit() or row[k] in ("", "-") for row in rows)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _console(width: int) -> Console:
    plain = {"color_system": None, "markup": False, "emoji": False, "highlight": False}
    return Console(file=StringIO(), width=width, legacy_windows=False, **plain)  # type: ignore[arg-type]


def _text(content: RenderableType, width: int) -> str:
    console = _console(width)
    with console.capture() as written:
        console.print(content)
    return "\n".join(line.rstrip() for line in written.get().rstrip().splitlines())


def _width(table: Table) -> int:
    """Width that a table takes if nothing is folded."""
    console = _console(1000)
    return Measurement.get(console, console.options, table).maximum


def _cell(numbers: Numbers, name: str) -> str:
    """A measure with signs that can be copied from a terminal; a hyphen where it is missing."""
    small = name == P_VALUE and name in numbers
    text = chance(numbers[name]) if small else number(numbers.get(name))
    return text.translate({0x2212: "-", 0x2013: "-"})


def _filled(text: str, width: int, indent: str = "") -> str:
    return fill(text, width, subsequent_indent=indent, break_on_hyphens=False)
