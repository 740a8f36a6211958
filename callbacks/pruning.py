"""Pruning of a search: a job stops that does worse than others did at the same step."""

from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from torch import distributed

from eqflow.errors import InputError, Pruned
from eqflow.runtime import rank_and_world

if TYPE_CHECKING:
    import optuna


class Pruning(pl.Callback):
    """Callback that reports every validation to an Optuna trial, and stops a trial that is pruned.

    Nothing is reported where ``monitor`` was not logged, nor in a search for several objectives,
    which Optuna cannot prune.

    Args:
        monitor: name of the logged value to report.
        trial: ``storage``, ``study`` and ``number`` of the trial; None outside a search.
        pruner: a pruner of Optuna; None for Optuna's default.

    Raises:
        Pruned: on every process, after a validation at which the trial is pruned.
    """

    def __init__(
        self,
        monitor: str = "flow/val_loss",
        trial: dict[str, Any] | None = None,
        pruner: Any = None,
    ) -> None:
        self.monitor, self.handle, self.pruner = monitor, trial, pruner
        self.trial: optuna.Trial | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.handle is None or self.trial is not None or rank_and_world()[0]:
            return
        import optuna

        storage = open_storage(self.handle["storage"])
        name = self.handle["study"]
        study = optuna.load_study(study_name=name, storage=storage, pruner=self.pruner)
        if len(study.directions) == 1:
            place = study.get_trials(deepcopy=False)[self.handle["number"]]
            self.trial = optuna.trial.Trial(study, place._trial_id)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        value = trainer.callback_metrics.get(self.monitor)
        if self.handle is None or value is None:
            return
        answer = [False]
        if self.trial is not None:
            self.trial.report(float(value), trainer.global_step)
            answer = [self.trial.should_prune()]
        if rank_and_world()[1] > 1:
            distributed.broadcast_object_list(answer)
        if answer[0]:
            raise Pruned(f"{self.monitor} = {float(value):.4g} at step {trainer.global_step}")


def open_storage(address: str) -> Any:
    """Optuna's storage at ``address``, the URL of a database or the path of a journal file.

    Raises ``InputError`` for a database that cannot be opened.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend

    if "://" not in address:
        return optuna.storages.JournalStorage(JournalFileBackend(address))
    try:
        return optuna.storages.get_storage(address)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"hydra.sweeper.storage={address}: {reason}; expected the URL of a database that "
            "can be reached, as in sqlite:////shared/search.db"
        ) from error
