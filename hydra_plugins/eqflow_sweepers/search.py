"""A search with Optuna: it survives failed trials, and goes on where it was stopped."""

import logging
import os
import socket
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, ListConfig

from eqflow.errors import InputError
from hydra_plugins.eqflow_sweepers.common import check_jobs, closing, open_folder, pin_folder
from hydra_plugins.eqflow_sweepers.space import Space, parse

if TYPE_CHECKING:
    import optuna

log = logging.getLogger("eqflow")

JOURNAL = "search.journal"


class OptunaSweeper(Sweeper):
    """Asks Optuna for ``n_jobs`` trials at a time until ``n_trials`` have ended.

    Failed and pruned trials count, those whose process was stopped are run again. The study is in
    ``storage``: a database's URL, shared by many machines, or a journal in the sweep's folder. A
    trial's job is in the folder of its number. Raises ``InputError`` before anything is written for
    options that no trial could run with.
    """

    def __init__(
        self,
        n_trials: int,
        n_jobs: int,
        storage: str | None,
        study_name: str,
        direction: str | ListConfig,
        seed: int,
        sampler: Callable[..., Any],
        params: DictConfig,
    ) -> None:
        self.n_trials, self.n_jobs, self.storage = n_trials, n_jobs, storage
        self.study_name, self.direction, self.seed = study_name, direction, seed
        self.sampler, self.params = sampler, params

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        pin_folder(config)
        self._context, self._config = hydra_context, config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        parser = OverridesParser.create(config_loader=self._context.config_loader)
        given = [f"{key!s}={value}" for key, value in self.params.items()]
        fixed, space = parse([*given, *arguments], parser)
        self._check(fixed, space)
        folder = open_folder(self._config)
        self.address = self.storage or str((folder / JOURNAL).absolute())
        with closing(self._context, self._config):
            self._search(fixed, space, folder)

    def _check(self, fixed: list[str], space: Space) -> None:
        """Refuse what no trial could run with: checked on one that is drawn and forgotten."""
        import optuna

        from callbacks.pruning import open_storage

        if self.n_trials < 1 or self.n_jobs < 1:
            raise InputError(
                f"hydra.sweeper: n_trials={self.n_trials}, n_jobs={self.n_jobs} found; "
                "expected both >= 1"
            )
        self._directions()
        if self.storage:
            open_storage(self.storage)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(self.seed)).ask(space)
        check_jobs(self._context, self._config, [[*fixed, *_overrides(drawn.params)]])

    def _search(self, fixed: list[str], space: Space, folder: Path) -> None:
        from eqflow.report.sweep.plots import write_search_figures

        study = self._study()
        recover(study)
        while (left := self.n_trials - _settled(study)) > 0:
            trials = [study.ask(space) for _ in range(min(self.n_jobs, left))]
            for trial in trials:
                trial.set_user_attr("process", _process())
            jobs = [[*fixed, *self._job(trial)] for trial in trials]
            try:
                self._launcher.launch(jobs, initial_job_idx=trials[0].number)
            except Exception as error:  # a cluster's job that vanished; the others are on disk
                log.warning("a trial ended without a word: %s", error)
            for trial in trials:
                tell(study, trial, folder / _subfolder(trial))
        write_search_figures(study, self._metrics(), folder / "figures")
        _report(study)

    def _study(self) -> "optuna.Study":
        import optuna

        from callbacks.pruning import open_storage

        storage = open_storage(self.address)
        study = optuna.create_study(
            study_name=self.study_name,
            storage=storage,
            directions=self._directions(),
            load_if_exists=True,
        )
        # another seed where a search goes on: the first draws are not to be drawn again
        study.sampler = self.sampler(seed=self.seed + len(study.trials))
        return study

    def _directions(self) -> list["optuna.study.StudyDirection"]:
        from optuna.study import StudyDirection

        found, count = self.direction, len(self._metrics())
        names = list(found) if isinstance(found, ListConfig) else [found] * count
        known = {"minimize": StudyDirection.MINIMIZE, "maximize": StudyDirection.MAXIMIZE}
        if len(names) != count or not set(names) <= set(known):
            raise InputError(
                f"hydra.sweeper.direction={found} found; expected minimize or maximize, "
                "or a list of these with one for each metric"
            )
        return [known[name] for name in names]

    def _metrics(self) -> list[str]:
        metric = self._config.metric
        return list(metric) if isinstance(metric, ListConfig) else [metric or "tuned metric"]

    def _job(self, trial: "optuna.Trial") -> list[str]:
        """The overrides of a trial alone."""
        handle = f"storage: '{self.address}', study: '{self.study_name}', number: {trial.number}"
        place = f"hydra.sweep.subdir='{_subfolder(trial)}'"
        return [*_overrides(trial.params), f"trial={{{handle}}}", place]


def recover(study: "optuna.Study") -> None:
    """Have trials that a stopped process of this machine left run again, in their folders."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if not _alive(trial.user_attrs.get("process", "")):
            attributes = {"folder": trial.user_attrs.get("folder", f"{trial.number}")}
            study.enqueue_trial(trial.params, user_attrs=attributes)
            study._storage.set_trial_user_attr(trial._trial_id, "stopped", True)
            study.tell(trial.number, state=TrialState.FAIL)


def tell(study: "optuna.Study", trial: "optuna.Trial", folder: Path) -> None:
    """Tell the study how a trial's job ended, as its folder says."""
    from optuna.trial import TrialState

    from eqflow.cli.status import read_status

    found = read_status(folder)
    given = found.value if isinstance(found.value, list) else [found.value]
    values = [value for value in given if value is not None and isfinite(value)]
    if found.status == "pruned":
        study.tell(trial, state=TrialState.PRUNED)
    elif found.status == "finished" and len(values) == len(given):
        study.tell(trial, values)
    else:
        trial.set_user_attr("error", found.error or "the metric is no finite number")
        study.tell(trial, state=TrialState.FAIL)


def _report(study: "optuna.Study") -> None:
    """Say what came out; raises ``RuntimeError`` where no trial did."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    counts = {s.name.lower(): sum(t.state is s for t in trials) for s in TrialState}
    log.info("trials: %s", ", ".join(f"{n} {name}" for name, n in counts.items() if n))
    if not counts["complete"]:
        reasons = [trial.user_attrs["error"] for trial in trials if "error" in trial.user_attrs]
        raise RuntimeError(f"no trial gave a value; the last error: {reasons[-1:] or 'none'}")
    for trial in study.best_trials:
        log.info("best: %s with %s", trial.values, " ".join(_overrides(trial.params)))


def _settled(study: "optuna.Study") -> int:
    """Trials that have ended or that another process is running."""
    from optuna.trial import TrialState

    ended = [t for t in study.get_trials(deepcopy=False) if "stopped" not in t.user_attrs]
    return sum(trial.state is not TrialState.WAITING for trial in ended)


def _overrides(params: dict[str, Any]) -> list[str]:
    return [f"{key}={value}" for key, value in params.items()]


def _subfolder(trial: "optuna.Trial") -> str:
    return str(trial.user_attrs.get("folder", trial.number))


def _process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


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
