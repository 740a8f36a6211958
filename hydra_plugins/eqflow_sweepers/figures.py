"""What a search looked like: its history, what mattered, and its Pareto front."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eqflow.runtime import replacing

if TYPE_CHECKING:
    import optuna


def draw(study: "optuna.Study", metrics: list[str], folder: Path) -> None:
    """Write the figures of a search, whose objectives have these names, into ``folder/figures``."""
    from optuna.trial import TrialState

    if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < 2:
        return
    for name, plot in _plots(study, metrics).items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls its drawing with matplotlib experimental
            axes = plot()
        figure = axes.figure
        figure.set_size_inches(7, 4)
        with replacing(folder / "figures" / f"{name}.png") as path:
            figure.savefig(path, format="png", dpi=110, bbox_inches="tight")


def _plots(study: "optuna.Study", metrics: list[str]) -> dict[str, Callable[[], Any]]:
    """File name -> what draws it."""
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.visualization import matplotlib as plots

    found: dict[str, Callable[[], Any]] = {}
    for k, metric in enumerate(metrics):
        target: dict[str, Any] = {"target_name": metric}
        if len(metrics) > 1:
            target["target"] = lambda trial, k=k: trial.values[k]
        name = metric.replace("/", "_").replace(" ", "_")
        found[f"history_{name}"] = partial(plots.plot_optimization_history, study, **target)
        evaluator = PedAnovaImportanceEvaluator()
        importances = partial(plots.plot_param_importances, study, evaluator, **target)
        found[f"importances_{name}"] = importances
    if len(metrics) == 2:
        found["pareto_front"] = partial(plots.plot_pareto_front, study, target_names=metrics)
    return found
