"""Leaderboard of a sweep over systems: the systems whose equations were determined."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from eqflow.fields import FAMILIES
from eqflow.report.style import STYLE, new_figure
from eqflow.report.text import number
from eqflow.runtime import replacing, write_json

COSINE_LEVELS = (0.95, 0.99, 0.999)
"""Values of ``|cos|`` to the true velocity at which systems are counted."""


COLUMNS = {
    "system": "system",
    "family": "family",
    "abs(cos)": "cos",
    "worst equation": "cos_min",
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
    "why not determined": "reason",
}
"""Heading of the table -> key of a row; columns that no row has are left out."""


Row = Mapping[str, Any]


def summary(rows: Sequence[Row]) -> dict[str, int]:
    """Counts of systems: at each level of ``|cos|``, determined, and wrongly determined.

    A system is determined where its row has no ``reason`` against it, and wrongly so if its
    ``|cos|`` is below the first level.
    """
    determined = [row for row in rows if not row["reason"]]
    return {
        "systems": len(rows),
        **{f"cos >= {level}": _count_from(rows, level) for level in COSINE_LEVELS},
        "determined": len(determined),
        "wrongly determined": len(determined) - _count_from(determined, COSINE_LEVELS[0]),
    }


def write_leaderboard(folder: Path, rows: Sequence[Row]) -> None:
    """Write ``leaderboard.json``, ``leaderboard.md`` and ``leaderboard.png`` into ``folder``."""
    write_json(folder / "leaderboard.json", {"summary": summary(rows), "systems": list(rows)})
    (folder / "leaderboard.md").write_text(table(rows) + "\n", encoding="utf-8")
    with rc_context(STYLE), replacing(folder / "leaderboard.png") as path:
        _figure(rows).savefig(path, format="png")


def table(rows: Sequence[Row]) -> str:
    """The counts, then a Markdown table with a line for each system."""
    counts = ", ".join(f"{name}: {count}" for name, count in summary(rows).items())
    shown = {name: key for name, key in COLUMNS.items() if any(key in row for row in rows)}
    lines = [" | ".join(_cell(key, row.get(key)) for key in shown.values()) for row in rows]
    head = [" | ".join(shown), " | ".join("---" for _ in shown)]
    return "\n".join([counts, "", *(f"| {line} |" for line in [*head, *lines])])


def _count_from(rows: Sequence[Row], level: float) -> int:
    return sum((row["cos"] or 0) >= level for row in rows)


def _cell(key: str, value: Any) -> str:
    if key in ("cos", "cos_min") and value is not None:
        return f"{value:.5f}"
    return value if isinstance(value, str) else number(value)


def _label(row: Row) -> str:
    family = row.get("family", "library")
    return row["system"] if family == "library" else f"{row['system']}, {family}"


def _figure(rows: Sequence[Row]) -> Figure:
    """``1 - |cos|`` of every system, best first, and whether it was determined."""
    ranked = sorted(rows, key=lambda row: -(row["cos"] or 0))
    figure = new_figure(8, 0.16 * len(rows) + 1)
    axes = figure.subplots()
    for mark, determined in (("o", True), ("x", False)):
        places = [k for k, row in enumerate(ranked) if (not row["reason"]) == determined]
        errors = [max(1 - (ranked[k]["cos"] or 0), 1e-7) for k in places]
        colour = FAMILIES["library" if determined else "score"].colour
        label = "determined" if determined else "not determined"
        axes.plot(errors, places, mark, color=colour, label=label)
    axes.set_yticks(range(len(ranked)), [_label(row) for row in ranked], fontsize=6)
    axes.set(xscale="log", xlabel="1 \N{MINUS SIGN} |cos| to the true velocity, held-out states")
    axes.set_ylim(len(ranked), -1)
    axes.legend(loc="lower left")
    return figure
