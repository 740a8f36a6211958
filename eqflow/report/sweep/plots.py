"""Optuna's plots of a study: of a search, or of the jobs of a sweep made a study."""

import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from matplotlib import pyplot, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.distributions import CategoricalDistribution
from optuna.visualization import matplotlib as plots

from eqflow.report.style import STYLE
from eqflow.runtime import replacing

RANKED_TRIALS = 50
"""Fewest trials for importances on the page of a sweep: the best tenth then holds five trials, as
the method asks for."""


def parallel_coordinates(study: optuna.Study) -> Figure | None:
    """Parallel coordinates: a line for each trial from its value through its parameters.

    Dark is better, and the line of the best trial is thick. Words of a parameter stand in the order
    in which the trials first have them. None for fewer than two trials and for no parameters.
    """
    space = {n: d for trial in study.trials for n, d in trial.distributions.items()}
    if len(study.trials) < 2 or not space:
        return None
    (name,) = study.metric_names or ["value"]
    axes = _drawn(plots.plot_parallel_coordinate, study, target_name=name)
    _draw_best_last(axes.collections[0], study.direction.name == "MAXIMIZE")
    # in full: Optuna shortens names, and options of one part would read alike
    axes.set_xticks(range(len(space) + 1), [name, *sorted(space)], rotation=340, ha="left")
    for label in (label for axis in axes.figure.axes for label in axis.get_yticklabels()):
        label.set_bbox({"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 1})
    listed = [d.choices for d in space.values() if isinstance(d, CategoricalDistribution)]
    letters = max((len(str(choice)) for choices in listed for choice in choices), default=0)
    width = min(max(1.7, 0.5 + 0.08 * letters), 4.0) * (len(space) + 1)
    return _sized(axes, max(7.0, width), max(4.0, 0.17 * max(map(len, listed), default=0)))


def importances(study: optuna.Study, **objective: Any) -> Figure:
    """How much the values of each parameter in the best tenth of the trials differ from all.

    PED-ANOVA (Watanabe, Bansal and Hutter 2023, arXiv 2304.10255). ``objective`` are the target and
    its name where the study has several objectives.
    """
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return _sized(_drawn(plots.plot_param_importances, study, evaluator, **objective))


def write_search_figures(study: optuna.Study, metrics: list[str], folder: Path) -> None:
    """Write ``history_*.png`` and ``importances_*.png`` of every objective into ``folder``.

    ``metrics`` are the names of the objectives; for two of them ``pareto_front.png`` is written
    too. Nothing is written for fewer than two complete trials.
    """
    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len(complete) < 2:
        return
    figures: dict[str, Figure] = {}
    for k, metric in enumerate(metrics):
        objective: dict[str, Any] = {"target_name": metric}
        if len(metrics) > 1:
            objective["target"] = lambda trial, k=k: trial.values[k]
        name = metric.replace("/", "_").replace(" ", "_")
        history = _drawn(plots.plot_optimization_history, study, **objective)
        figures |= {f"history_{name}": _sized(history)}
        figures |= {f"importances_{name}": importances(study, **objective)}
    if len(metrics) == 2:
        front = _drawn(plots.plot_pareto_front, study, target_names=metrics)
        figures["pareto_front"] = _sized(front)
    for name, figure in figures.items():
        with replacing(folder / f"{name}.png") as path:
            path.write_bytes(png(figure))


def png(figure: Figure) -> bytes:
    """A figure as a PNG image, cut to what is drawn."""
    figure.savefig(image := BytesIO(), format="png", dpi=110, bbox_inches="tight")
    return image.getvalue()


def _drawn(plot: Callable[..., Axes], *arguments: Any, **options: Any) -> Axes:
    """What a function of ``optuna.visualization.matplotlib`` draws, without its title.

    Neither the figure nor the style that Optuna sets stays in matplotlib's global state.
    """
    style = STYLE | {"axes.grid": False, "axes.spines.right": True}
    with rc_context(style), warnings.catch_warnings(action="ignore"):  # its plots are experimental
        axes = plot(*arguments, **options)
    for place in ("left", "center"):
        axes.set_title("", loc=place)
    pyplot.close(axes.get_figure(root=True))
    return axes


def _draw_best_last(lines: Any, maximise: bool) -> None:
    """Have the best trial's line on top of the others, thick and in the darkest colour."""
    lines.colorbar.remove()  # the axis of the values says what the colours mean
    values, segments = np.asarray(lines.get_array()), lines.get_segments()
    order = np.argsort(values if maximise else -values)
    lines.set_segments([segments[k] for k in order])
    lines.set(array=values[order], clip_on=False, cmap="viridis_r" if maximise else "viridis")
    lines.set_linewidth([*[1.0] * (len(order) - 1), 3.0])


def _sized(axes: Axes, width: float = 7.0, height: float = 4.0) -> Figure:
    """The figure of ``axes``, ``width`` x ``height`` inches."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.set_size_inches(width, height)
    return figure
