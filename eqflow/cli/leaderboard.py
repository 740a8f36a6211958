"""After a sweep over systems: which laws were recovered, and why others were not."""

import json
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from eqflow.cli.resume import RESOLVED
from eqflow.discovery import Findings


class Leaderboard(Callback):
    """Hydra's hook after a sweep: ``leaderboard.json``, ``.md`` and ``.png`` beside its jobs."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from eqflow.report.leaderboard import write_leaderboard

        folder = Path(config.hydra.sweep.dir)
        write_leaderboard(folder, rows(folder))


def rows(folder: Path) -> list[dict[str, Any]]:
    """What each finished job of a sweep found, by system."""
    found = []
    for metrics in sorted(folder.glob("*/metrics.json")):
        job = metrics.parent
        numbers = json.loads(metrics.read_text())
        findings = Findings(**json.loads((job / "flow" / "findings.json").read_text()))
        config = OmegaConf.load(job / RESOLVED)
        found.append({"system": config.data.system, "job": job.name, **_row(numbers, findings)})
    return sorted(found, key=lambda row: row["system"])


def _row(numbers: dict[str, float], findings: Findings) -> dict[str, Any]:
    names = {
        "cos": "truth/cos",
        "cos_signed": "truth/cos_signed",
        "degree": "selection/degree",
        "terms": "selection/terms",
        "gap": "spectrum/gap",
        "dimension": "spectrum/dimension",
        "p_value": "selection/p_value",
        "direction": "bootstrap/direction",
        "oriented": "orientation",
        "escaped": "preservation/escaped_h100",
        "mmd2_ratio": "preservation/mmd2_ratio_h100",
        "truth_p_value": "truth/stationarity/p_value",
        "seconds": "time/flow_s",
    }
    return {key: numbers.get(name) for key, name in names.items()} | {"reason": findings.reason}
