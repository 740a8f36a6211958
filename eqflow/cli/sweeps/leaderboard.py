"""Hydra's hook that writes a leaderboard after a sweep over systems."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from eqflow.cli.resume import RESOLVED_CONFIG
from eqflow.cli.sweeps.page import jobs
from eqflow.discovery import COMPATIBLE_LEVEL, Findings

ROW_MEASURES = {
    "cos": "truth/cos",
    "cos_min": "truth/cos_min",
    "cos_signed": "truth/cos_signed",
    "degree": "selection/degree",
    "terms": "selection/terms",
    "gap": "spectrum/gap",
    "dimension": "spectrum/dimension",
    "direction": "bootstrap/direction",
    "oriented": "orientation",
    "escaped": "preservation/escaped_h100",
    "mmd2_ratio": "preservation/mmd2_ratio_h100",
    "truth_p_value": "truth/stationarity/p_value",
    "seconds": "time/flow_s",
}
"""Key of a row -> the measure it holds."""


class Leaderboard(Callback):
    """Hydra's hook after a sweep: ``leaderboard.json``, ``.md`` and ``.png`` beside its jobs."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from eqflow.report.sweep.leaderboard import write_leaderboard

        folder = Path(config.hydra.sweep.dir)
        write_leaderboard(folder, rows(folder))


def rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of the leaderboard: measures of every finished job, sorted by system and family."""
    unsorted = [_row(folder / job.name, job.metrics) for job in jobs(folder) if job.metrics]
    return sorted(unsorted, key=lambda row: (row["system"], row["family"]))


def _row(place: Path, measures: Mapping[str, float]) -> dict[str, Any]:
    config = OmegaConf.load(place / RESOLVED_CONFIG)
    return {
        **{"system": config.data.system, "family": config.flow.family, "job": place.name},
        **{key: measures.get(name) for key, name in ROW_MEASURES.items()},
        "p_value": measures.get("selection/p_value", measures.get("stationarity/p_value")),
        "reason": _reason(place, measures),
    }


def _reason(place: Path, measures: Mapping[str, float]) -> str:
    """Why the equations of a job are not determined; empty where they are.

    A field without terms never is: it is not known how many others keep the distribution.
    """
    findings = place / "flow" / "findings.json"
    if findings.is_file():
        return Findings(**json.loads(findings.read_text())).reason
    p_value = measures.get("stationarity/p_value", 0.0)
    if p_value >= COMPATIBLE_LEVEL:
        return "the distribution is kept, but by how many other fields is not known"
    return f"the held-out test leaves it in doubt or rejects it, p = {p_value:.2g}"
