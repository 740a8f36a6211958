"""After a sweep over systems: which dynamics were recovered, and why others were not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from eqflow.cli.resume import RESOLVED_CONFIG
from eqflow.cli.sweeps.page import jobs
from eqflow.discovery import RECOVERY_LEVEL, Findings


class Leaderboard(Callback):
    """Hydra's hook after a sweep: ``leaderboard.json``, ``.md`` and ``.png`` beside its jobs."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from eqflow.report.sweep.leaderboard import write_leaderboard

        folder = Path(config.hydra.sweep.dir)
        write_leaderboard(folder, rows(folder))


def rows(folder: Path) -> list[dict[str, Any]]:
    """What each finished job of a sweep found, by system."""
    found = []
    for job in jobs(folder):
        if not job.metrics:
            continue
        place = folder / job.name
        config = OmegaConf.load(place / RESOLVED_CONFIG)
        names = {"system": config.data.system, "family": config.flow.family, "job": job.name}
        found.append({**names, **_row(job.metrics), "reason": _reason(place, job.metrics)})
    return sorted(found, key=lambda row: (row["system"], row["family"]))


def _reason(place: Path, numbers: Mapping[str, float]) -> str:
    """Why no law was recovered: its own reason; without terms no field is the only one."""
    found = place / "flow" / "findings.json"
    if found.is_file():
        return Findings(**json.loads(found.read_text())).reason
    p_value = numbers.get("stationarity/p_value", 0.0)
    if p_value >= RECOVERY_LEVEL:
        return "the distribution is kept, but by how many other fields is not known"
    return f"the held-out test leaves it in doubt or rejects it, p = {p_value:.2g}"


def _row(numbers: Mapping[str, float]) -> dict[str, Any]:
    names = {
        "cos": "truth/cos",
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
    p_value = numbers.get("selection/p_value", numbers.get("stationarity/p_value"))
    return {key: numbers.get(name) for key, name in names.items()} | {"p_value": p_value}
