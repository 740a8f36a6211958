"""Results of a finished run for W&B: a table of fields, figures and films, the trained model."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

OTHER_FIELD = re.compile(r"((?:beside|null)/\w+)/(.+)")
"""Name of a measure of a field beside the run's own: the field, and the measure."""

MODEL_FOLDERS = ("flow", "checkpoints")
"""Folders of a run that hold its trained model."""


def fields_table(metrics: Mapping[str, float]) -> wandb.Table:
    """A row for each field, the run's own first, and a column for each measure."""
    rows: dict[str, dict[str, float]] = {"own": {}}
    for name, value in metrics.items():
        if not name.startswith("time/"):
            other = OTHER_FIELD.fullmatch(name)
            field, measure = other.groups() if other else ("own", name)
            rows.setdefault(field, {})[measure] = float(value)
    measures = list(dict.fromkeys(name for row in rows.values() for name in row))
    data = [[field, *map(row.get, measures)] for field, row in rows.items()]
    return wandb.Table(columns=["field", *measures], data=data)


def pictures(folder: Path) -> dict[str, Any]:
    """Name in W&B -> figure or film in the ``folder`` of a run."""
    figures = {f"figures/{p.stem}": wandb.Image(str(p)) for p in folder.glob("figures/*.png")}
    films = {
        f"films/{p.stem}": wandb.Video(str(p), format="mp4") for p in folder.glob("figures/*.mp4")
    }
    return figures | films


def model_artifact(name: str, folder: Path, metrics: Mapping[str, float]) -> wandb.Artifact:
    """The trained model of a run as a W&B artifact, named after the run, with its measures."""
    allowed = re.sub(r"[^A-Za-z0-9_.-]", "-", name)
    artifact = wandb.Artifact(allowed, "model", metadata=dict(metrics))
    for part in MODEL_FOLDERS:
        artifact.add_dir(str(folder / part), name=part)
    return artifact
