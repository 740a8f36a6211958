"""Hydra's sweeper for searches with Optuna: failed trials are survived, stopped ones run again."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, ListConfig

from eqflow.errors import InputError
from hydra_plugins.eqflow_sweepers.common import (
    check_jobs,
    create_folder,
    pin_folder,
    with_closing_callbacks,
)
from hydra_plugins.eqflow_sweepers.space import Space, parse

if TYPE_CHECKING:  # Hydra imports its plugins at every start
    import optuna

log = logging.getLogger("eqflow")

JOURNAL = "search.journal"
"""File in the sweep's folder that holds the study where no database does."""


class OptunaSweeper(Sweeper):
    """Sweeper that asks an Optuna study for ``n_jobs`` trials at a time until it has ``n_trials``.

    Failed and pruned trials count; trials whose process was stopped are run again. A trial's job is
    in the folder of its number. Raises ``InputError``, before anything is written, for options that
    no trial could run with.

    Args:
        n_trials: number of trials, those of earlier launches and of other machines included.
        n_jobs: trials handed to Hydra's launcher at a time.
        storage: URL of a database that several machines share; None for a journal in the sweep's
            folder.
        study_name: name of the study in the storage.
        direction: ``minimize`` or ``maximize``, or a list with a direction for each metric.
        seed: seed of the sampler.
        sampler: makes an Optuna sampler of a seed.
        params: option -> values to vary, as :func:`parse` reads them.
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
        pin_folder(hydra_context, config)
        self._context, self._config = hydra_context, config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        parser = OverridesParser.create(config_loader=self._context.config_loader)
        given = [f"{key!s}={value}" for key, value in self.params.items()]
        fixed, space = parse([*given, *arguments], parser)
        self._check(fixed, space)
        folder = create_folder(self._config)
        self.address = self.storage or str((folder / JOURNAL).absolute())
        with with_closing_callbacks(self._context, self._config):
            self._search(fixed, space, folder)

    def _check(self, fixed: list[str], space: Space) -> None:
        """Refuse options that no trial could run with, checked on a trial drawn at random."""
        import optuna

        from callbacks.pruning import open_storage
        from eqflow.cli.sweeps.trials import overrides

        if self.n_trials < 1 or self.n_jobs < 1:
            raise InputError(
                f"hydra.sweeper: n_trials={self.n_trials}, n_jobs={self.n_jobs} found; "
                "expected both >= 1"
            )
        self._directions()
        if self.storage:
            open_storage(self.storage)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(self.seed)).ask(space)
        check_jobs(self._context, self._config, [[*fixed, *overrides(trial.params)]])

    def _search(self, fixed: list[str], space: Space, folder: Path) -> None:
        from eqflow.cli.sweeps.trials import ask, log_outcome, recover, started, tell
        from eqflow.report.sweep.plots import write_search_figures

        study = self._study()
        recover(study)
        while (left := self.n_trials - started(study)) > 0:
            trials = ask(study, space, min(self.n_jobs, left))
            jobs = [[*fixed, *self._job(trial)] for trial in trials]
            try:
                self._launcher.launch(jobs, initial_job_idx=trials[0].number)
            except Exception as error:  # a cluster's job that vanished; the others are on disk
                log.warning("a trial ended without a word: %s", error)
            for trial in trials:
                tell(study, trial, folder)
        write_search_figures(study, self._metrics(), folder / "figures")
        log_outcome(study)

    def _study(self) -> "optuna.Study":
        import optuna

        from callbacks.pruning import open_storage

        storage, directions = open_storage(self.address), self._directions()
        study = optuna.create_study(
            study_name=self.study_name, storage=storage, directions=directions, load_if_exists=True
        )
        # another seed where a search goes on: the first draws are not to be drawn again
        study.sampler = self.sampler(seed=self.seed + len(study.trials))
        return study

    def _directions(self) -> list[Any]:
        """The direction of each metric."""
        count, given = len(self._metrics()), self.direction
        directions = list(given) if isinstance(given, ListConfig) else [given] * count
        if len(directions) != count or not set(directions) <= {"minimize", "maximize"}:
            raise InputError(
                f"hydra.sweeper.direction={given} found; expected minimize or maximize, "
                "or a list of these with one for each metric"
            )
        return directions

    def _metrics(self) -> list[str]:
        metric = self._config.metric
        return list(metric) if isinstance(metric, ListConfig) else [metric or "tuned metric"]

    def _job(self, trial: "optuna.Trial") -> list[str]:
        """The overrides of a trial alone: its parameters, how it reports, and its folder."""
        from eqflow.cli.sweeps.trials import folder_name, overrides

        handle = f"storage: '{self.address}', study: '{self.study_name}', number: {trial.number}"
        place = f"hydra.sweep.subdir='{folder_name(trial)}'"
        return [*overrides(trial.params), f"trial={{{handle}}}", place]
