"""A table and a picture of which laws a sweep over systems recovered."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context

from eqflow.fields import FAMILIES
from eqflow.report.style import STYLE, new_figure, number
from eqflow.runtime import replacing, write_json

THRESHOLDS = (0.95, 0.99, 0.999)
"""Values of ``|cos|`` at which systems are counted."""


COLUMNS = {
    "system": "system",
    "family": "family",
    "abs(cos)": "cos",
    "degree": "degree",
    "of the truth": "true_degree",
    "terms": "terms",
    "p-value": "p_value",
    "p-value of the truth": "truth_p_value",
    "dimension": "dimension",
    "gap": "gap",
    "bootstrap": "direction",
    "oriented": "oriented",
    "escaped": "escaped",
    "escaped later": "escaped_later",
    "MMD² / floor": "mmd2_ratio",
    "the truth's": "true_mmd2_ratio",
    "fit, s": "seconds",
    "why not recovered": "reason",
}
"""Headings of the table -> what they show of a row; those that no row has are left out."""


Row = Mapping[str, Any]


def summary(rows: Sequence[Row]) -> dict[str, int]:
    """Counts over systems; a wrong acceptance is a law called recovered with ``|cos| < 0.95``."""
    accepted = [row for row in rows if not row["reason"]]
    counts = {f"cos >= {level}": _at_least(rows, level) for level in THRESHOLDS}
    return {
        "systems": len(rows),
        **counts,
        "recovered": len(accepted),
        "wrongly recovered": len(accepted) - _at_least(accepted, THRESHOLDS[0]),
    }


def write_leaderboard(folder: Path, rows: Sequence[Row]) -> None:
    """Write ``leaderboard.json``, ``leaderboard.md`` and ``leaderboard.png`` into ``folder``."""
    counts = summary(rows)
    write_json(folder / "leaderboard.json", {"summary": counts, "systems": list(rows)})
    (folder / "leaderboard.md").write_text(table(rows) + "\n", encoding="utf-8")
    with rc_context(STYLE), replacing(folder / "leaderboard.png") as path:
        _drawn(rows).savefig(path, format="png")


def table(rows: Sequence[Row]) -> str:
    """The counts, then a Markdown table with a line for each system."""
    counts = ", ".join(f"{name}: {count}" for name, count in summary(rows).items())
    shown = {name: key for name, key in COLUMNS.items() if any(key in row for row in rows)}
    lines = [" | ".join(_cell(key, row.get(key)) for key in shown.values()) for row in rows]
    head = [" | ".join(shown), " | ".join("---" for _ in shown)]
    return "\n".join([counts, "", *(f"| {line} |" for line in [*head, *lines])])


def _at_least(rows: Sequence[Row], level: float) -> int:
    return sum((row["cos"] or 0) >= level for row in rows)


def _cell(key: str, value: Any) -> str:
    if key == "cos" and value is not None:
        return f"{value:.5f}"
    return value if isinstance(value, str) else number(value)


def _label(row: Row) -> str:
    family = row.get("family", "library")
    return row["system"] if family == "library" else f"{row['system']}, {family}"


def _drawn(rows: Sequence[Row]) -> Any:
    """One minus ``|cos|`` of every system, best first, and whether it was called recovered."""
    ranked = sorted(rows, key=lambda row: -(row["cos"] or 0))
    figure = new_figure(8, 0.16 * len(rows) + 1)
    axes = figure.subplots()
    for mark, recovered in (("o", True), ("x", False)):
        places = [k for k, row in enumerate(ranked) if (not row["reason"]) == recovered]
        errors = [max(1 - (ranked[k]["cos"] or 0), 1e-7) for k in places]
        colour = FAMILIES["library" if recovered else "score"].colour
        label = "recovered" if recovered else "rejected or not determined"
        axes.plot(errors, places, mark, color=colour, label=label)
    axes.set_yticks(range(len(ranked)), [_label(row) for row in ranked], fontsize=6)
    axes.set(xscale="log", xlabel="1 \N{MINUS SIGN} |cos| to the true velocity, held-out states")
    axes.set_ylim(len(ranked), -1)
    axes.legend(loc="lower left")
    return figure
