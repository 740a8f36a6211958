"""Weights & Biases logger in which a run's folder is a single W&B run, also when it is resumed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers.wandb import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from eqflow.errors import InputError
from eqflow.runtime import replacing

if TYPE_CHECKING:
    from wandb import Run

CURVES_WITH_MINIMUM = {
    "score": ("train_loss", "val_loss"),
    "network": ("train_loss", "val_loss"),
    "flow": ("train_loss", "val_loss", "preservation/mmd2_ratio"),
}
"""Stage with training curves -> the curves whose lowest value the summary keeps."""


class Wandb(WandbLogger):
    """W&B logger of a run's folder, which keeps the id of its W&B run in ``wandb/id``.

    So a resumed folder continues its W&B run, also offline, where ``wandb sync`` joins the parts.

    Args:
        save_dir: folder of the run.
        stages: stages of the run, which become the W&B job type.
        tags: tags of the W&B run.
        offline: whether nothing is sent, so that no account is needed.
        artifacts: whether the trained model is logged as an artifact.
        settings: other arguments of ``WandbLogger`` and ``wandb.init``.

    Raises:
        InputError: for tags that W&B does not take, and if it is not ``offline`` and there is no
            account.
    """

    def __init__(
        self,
        save_dir: str,
        stages: Sequence[str],
        tags: Sequence[str] = (),
        offline: bool = True,
        artifacts: bool = False,
        **settings: Any,
    ) -> None:
        _check_tags(tags)
        self.artifacts, self._id_file = artifacts, Path(save_dir) / "wandb" / "id"
        if self._id_file.is_file():
            settings["id"] = self._id_file.read_text()
        if offline:
            settings["mode"] = "offline"
        settings |= {"job_type": "+".join(stages), "tags": tags}
        super().__init__(save_dir=save_dir, offline=offline, **settings)
        self._wandb_init.pop("anonymous", None)  # unset, yet W&B would warn of it

    @property
    @rank_zero_experiment
    def experiment(self) -> "Run":
        """The W&B run, started when first asked for."""
        if self._experiment is None:
            self._experiment = self._start()
        return cast("Run", self._experiment)

    def _start(self) -> Any:
        import wandb

        try:
            # not Lightning's way, which sets WANDB_MODE for all later jobs, and one axis for all
            run = wandb.init(**self._wandb_init)
        except wandb.errors.UsageError as error:
            raise InputError(
                f"logger.wandb.offline={self._offline}, W&B found: {error} Expected an account, or "
                "logger.wandb.offline=true"
            ) from error
        _define_metrics(run)
        with replacing(self._id_file) as path:
            path.write_text(run.id)
        return run

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers of a training against the steps of their own stage."""
        steps = {f"{name.split('/')[0]}/step": step for name in metrics if "/" in name}
        self.experiment.log({**metrics, **steps})

    @rank_zero_only
    def log_result(self, metrics: Mapping[str, float], folder: Path) -> None:
        """Put the final numbers into the summary, and show the table, figures and films."""
        from callbacks.results import fields_table, model_artifact, pictures

        run = self.experiment
        run.log({"fields": fields_table(metrics), **pictures(folder)})
        run.summary.update(dict(metrics))
        if self.artifacts:
            model = model_artifact(run.name or run.id, folder, metrics)
            run.log_artifact(model, aliases=["latest", run.id])

    def finish(self, failed: bool) -> None:
        """End the W&B run, if it was started, as failed or finished."""
        if self._experiment is not None:
            self._experiment.finish(exit_code=int(failed))


def _check_tags(tags: Sequence[str]) -> None:
    """Refuse tags that W&B would refuse."""
    listed = isinstance(tags, list | tuple)
    if not listed or not all(isinstance(tag, str) and 1 <= len(tag) <= 64 for tag in tags):
        raise InputError(f"tags={tags}: expected a list of texts of 1 to 64 characters")


def _define_metrics(run: Any) -> None:
    """Give each training curve the axis of its stage, and keep axes out of the summary."""
    run.define_metric("epoch", summary="none")
    for stage, lowest in CURVES_WITH_MINIMUM.items():
        axis = f"{stage}/step"
        run.define_metric(axis, summary="none")
        run.define_metric(f"{stage}/*", step_metric=axis)
        for name in lowest:
            run.define_metric(f"{stage}/{name}", step_metric=axis, summary="min")
