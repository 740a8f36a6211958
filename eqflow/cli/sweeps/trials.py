"""Trials of an Optuna search as jobs: what runs again, how a job ended, what came out."""

import logging
import os
import socket
from math import isfinite
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from eqflow.cli.status import read_status

log = logging.getLogger("eqflow")


def recover(study: optuna.Study) -> None:
    """Queue trials again whose process on this machine was stopped, each in its old folder."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if not _alive(trial.user_attrs.get("process", "")):
            study.enqueue_trial(trial.params, user_attrs={"folder": folder_name(trial)})
            study._storage.set_trial_user_attr(trial._trial_id, "stopped", True)
            study.tell(trial.number, state=TrialState.FAIL)


def ask(study: optuna.Study, space: dict[str, Any], count: int) -> list[optuna.Trial]:
    """The next ``count`` trials, marked as run by this process."""
    trials = [study.ask(space) for _ in range(count)]
    for trial in trials:
        trial.set_user_attr("process", f"{socket.gethostname()}:{os.getpid()}")
    return trials


def tell(study: optuna.Study, trial: optuna.Trial, folder: Path) -> None:
    """Tell the study how the job of a trial ended, by the status file in the sweep's ``folder``.

    A trial whose job failed, or whose metric is no finite number, fails with its error.
    """
    status = read_status(folder / folder_name(trial))
    metrics = status.value if isinstance(status.value, list) else [status.value]
    values = [value for value in metrics if value is not None and isfinite(value)]
    if status.status == "pruned":
        study.tell(trial, state=TrialState.PRUNED)
    elif status.status == "finished" and len(values) == len(metrics):
        study.tell(trial, values)
    else:
        trial.set_user_attr("error", status.error or "the metric is no finite number")
        study.tell(trial, state=TrialState.FAIL)


def started(study: optuna.Study) -> int:
    """Number of trials that have ended or are running, without those that :func:`recover` ended."""
    trials = [t for t in study.get_trials(deepcopy=False) if "stopped" not in t.user_attrs]
    return sum(trial.state is not TrialState.WAITING for trial in trials)


def log_outcome(study: optuna.Study) -> None:
    """Log how the trials ended and the best; raises ``RuntimeError`` where none has a value."""
    trials = study.get_trials(deepcopy=False)
    counts = {s.name.lower(): sum(t.state is s for t in trials) for s in TrialState}
    log.info("trials: %s", ", ".join(f"{n} {name}" for name, n in counts.items() if n))
    if not counts["complete"]:
        reasons = [trial.user_attrs["error"] for trial in trials if "error" in trial.user_attrs]
        raise RuntimeError(f"no trial gave a value; the last error: {reasons[-1:] or 'none'}")
    for trial in study.best_trials:
        log.info("best: %s with %s", trial.values, " ".join(overrides(trial.params)))


def overrides(params: dict[str, Any]) -> list[str]:
    """A trial's parameters as Hydra's overrides."""
    return [f"{key}={value}" for key, value in params.items()]


def folder_name(trial: optuna.Trial | optuna.trial.FrozenTrial) -> str:
    """Name of a trial's folder: its number, or that of the stopped trial that it runs again."""
    return str(trial.user_attrs.get("folder", trial.number))


def _alive(process: str) -> bool:
    """Whether a trial's process may still be running: those of other machines may."""
    host, _, number = process.rpartition(":")
    if host != socket.gethostname():
        return bool(host)
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    return True
