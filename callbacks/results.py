"""What W&B shows of a finished run besides single numbers: a table, pictures, what was learned."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

BESIDE = re.compile(r"((?:beside|null)/\w+)/(.+)")
"""A measure of a field beside the run's own: that field, and the measure's own name."""

LEARNED = ("flow", "checkpoints")
"""Folders of a run that hold what it learned."""


def fields_table(metrics: Mapping[str, float]) -> wandb.Table:
    """One row per field, the run's own first; one column per measure, empty where not taken."""
    rows: dict[str, dict[str, float]] = {"own": {}}
    for name, value in metrics.items():
        if not name.startswith("time/"):
            found = BESIDE.fullmatch(name)
            field, measure = found.groups() if found else ("own", name)
            rows.setdefault(field, {})[measure] = float(value)
    measures = list(dict.fromkeys(name for row in rows.values() for name in row))
    data = [[field, *map(row.get, measures)] for field, row in rows.items()]
    return wandb.Table(columns=["field", *measures], data=data)


def pictures(folder: Path) -> dict[str, Any]:
    """The figures and films of a run's ``folder`` by their names in W&B."""
    figures = {f"figures/{p.stem}": wandb.Image(str(p)) for p in folder.glob("figures/*.png")}
    films = {
        f"films/{p.stem}": wandb.Video(str(p), format="mp4") for p in folder.glob("figures/*.mp4")
    }
    return figures | films


def learned(name: str, folder: Path, metrics: Mapping[str, float]) -> wandb.Artifact:
    """What a run learned, as a model named after it, with its measures."""
    allowed = re.sub(r"[^A-Za-z0-9_.-]", "-", name)
    artifact = wandb.Artifact(allowed, "model", metadata=dict(metrics))
    for part in LEARNED:
        artifact.add_dir(str(folder / part), name=part)
    return artifact
