"""The page of a sweep: written by Hydra's hook when it ends, and again from what is on disk."""

import json
import logging
import re
import shlex
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from eqflow.cli.resume import RESOLVED_CONFIG, SWEEP_CONFIG
from eqflow.cli.status import read_status
from eqflow.cli.sweeps.job import RUN_OPTIONS
from eqflow.errors import InputError
from eqflow.report.sweep.comparison import STATUSES, Comparison, Job

log = logging.getLogger("eqflow")


FILM = Path("figures") / "film.mp4"
"""Film of a run, below its folder."""


class Page(Callback):
    """Hydra's hook after a sweep: ``report.html``, ``sweep.json`` and ``sweep.csv`` of its jobs."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        if not (listed := jobs(folder)):
            return
        compared = comparison(listed, config)
        _write(folder, compared)
        log.info("page of the sweep: %s", folder / "report.html")
        if compared.ranked:
            again = shlex.quote(f"best={folder}")
            log.info("to run its best job, %s, again: %s", compared.ranked[0].name, again)


def rebuild(folder: Path) -> None:
    """Write the page of a sweep again, from what is on disk.

    Raises ``InputError`` if ``folder`` holds no jobs.
    """
    _write(folder, stored_comparison(folder, "report"))


def stored_comparison(folder: Path, option: str) -> Comparison:
    """The jobs of a sweep as they are on disk, ranked by its metric.

    Raises ``InputError`` that names ``option`` if ``folder`` holds no jobs.
    """
    if not (listed := jobs(folder)):
        raise InputError(
            f"{option}={folder}: found no jobs of a sweep; "
            "expected a folder multirun/<name>/<date> that holds 0/.hydra and so on"
        )
    stored = (folder / SWEEP_CONFIG, *(folder / job.name / RESOLVED_CONFIG for job in listed))
    config: Any = next(filter(None, map(_yaml, stored)), {})
    return comparison(listed, OmegaConf.create(config))


def jobs(folder: Path) -> list[Job]:
    """The jobs of a sweep in their order; a missing or half-written file counts as empty."""
    places = (path.parent for path in folder.glob("*/.hydra"))
    return [_job(place) for place in sorted(places, key=lambda place: _natural(place.name))]


def comparison(listed: list[Job], config: DictConfig) -> Comparison:
    """Jobs ranked by the metric of ``config``, the sweep's or a job's."""
    from eqflow.evaluation import RANK

    metric = _first(config.get("metric")) or RANK
    maximise = _first(OmegaConf.select(config, "hydra.sweeper.direction")) == "maximize"
    return Comparison(listed, metric, maximise)


def _write(folder: Path, compared: Comparison) -> None:
    """Write the page, with the figures of a search."""
    from eqflow.report.sweep.page import write_sweep

    figures = sorted((folder / "figures").glob("*.png"))
    pictures = {path.stem.replace("_", " "): path.read_bytes() for path in figures}
    write_sweep(folder, compared, pictures)


def _first(value: Any) -> Any:
    """The first of several objectives, which ranks the jobs."""
    return value[0] if isinstance(value, ListConfig) else value


def _job(place: Path) -> Job:
    state, metrics = read_status(place), _json(place / "metrics.json")
    given = [str(o).partition("=") for o in _yaml(place / ".hydra" / "overrides.yaml") or ()]
    opens = (name for name in ("report.html", "run.log") if (place / name).is_file())
    return Job(
        name=place.name,
        overrides={name.lstrip("+"): value for name, _, value in given if name not in RUN_OPTIONS},
        status=state.status if state.status in STATUSES else "unfinished",
        error=state.error,
        seconds=state.seconds or None,
        metrics={name: value for name, value in metrics.items() if isinstance(value, int | float)},
        opens=next(opens, ""),
        film=FILM.as_posix() if (place / FILM).is_file() else "",
    )


def _json(path: Path) -> dict[str, Any]:
    """An object of a JSON file; empty where it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _yaml(path: Path) -> Any:
    """A YAML file as plain containers, without interpolation; None where it cannot be read."""
    try:
        return OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, ValueError, YAMLError, OmegaConfBaseException):
        return None


def _natural(name: str) -> list[Any]:
    """A key that sorts 9 before 10: text and numbers in turn."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
