"""W&B workspace of a project, written by ``python -m callbacks.dashboard --project eqflow``.

Prints the definition as JSON, without a network; ``--entity me --save`` sends it to W&B. Needs the
extra ``dashboards``.
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces.reports.v2.interface import PanelTypes

MMD2_RATIO, ESCAPED_SHARE = "preservation/mmd2_ratio", "preservation/escaped"
"""Measures that several panels show."""

OTHER_FIELDS = (
    *("beside/skew", "beside/library"),
    *("null/random_skew", "null/random", "null/random_linear", "null/score", "null/minus_x"),
)
"""Fields measured beside a run's own; a field that a run leaves out has no bar."""

SYSTEM_SAMPLES = ("cpu", "proc.memory.rssMB", "gpu.0.gpu", "gpu.0.memoryAllocatedBytes")
"""What W&B samples of the machine, by its own names."""


def dashboard(project: str, entity: str = "") -> ws.Workspace:
    """Workspace of ``project``: preservation, residual, truth, training, system."""
    columns = [
        f"summary:{name}" for name in (MMD2_RATIO, ESCAPED_SHARE, "residual/relative", "truth/cos")
    ]
    return ws.Workspace(
        entity=entity,
        project=project,
        name="Equilibrium flow",
        sections=[_preservation(), _residual(), _truth(), _training(), _system()],
        runset_settings=ws.RunsetSettings(pinned_columns=columns),
    )


def _section(name: str, *panels: PanelTypes) -> ws.Section:
    return ws.Section(name=name, panels=list(panels), is_open=True)


def _bars(title: str, *metrics: str) -> wr.BarPlot:
    return wr.BarPlot(title=title, metrics=list(metrics))


def _with_others(title: str, metric: str) -> wr.BarPlot:
    return _bars(f"{title}: own field and others", metric, *(f"{o}/{metric}" for o in OTHER_FIELDS))


def _curve(stage: str, *metrics: str, log: bool = False) -> wr.LinePlot:
    title = f"{stage}: {', '.join(metrics)}"
    names: list[Any] = [f"{stage}/{metric}" for metric in metrics]
    return wr.LinePlot(title=title, x=f"{stage}/step", y=names, log_y=log)


def _preservation() -> ws.Section:
    horizons = [f"{MMD2_RATIO}_h{horizon}" for horizon in (1, 10, 100)]
    figures = ["figures/preservation", "figures/distributions"]
    return _section(
        "Preservation",
        _with_others("MMD² over its floor", MMD2_RATIO),
        _bars("The same after 1, 10 and 100 transit times", *horizons),
        _with_others("Fraction that escaped", ESCAPED_SHARE),
        wr.WeavePanelSummaryTable(table_name="fields"),
        wr.MediaBrowser(title="Figures", media_keys=figures),
    )


def _residual() -> ws.Section:
    violated, kept = wr.SummaryMetric("residual/relative"), wr.SummaryMetric(MMD2_RATIO)
    scores = ("residual/relative_own_score", "residual/relative_floor")
    return _section(
        "Residual",
        _with_others("Relative residual", "residual/relative"),
        _bars("The same with the own score, and the estimate's own error", *scores),
        _with_others("Stationarity, p-value", "stationarity/p_value"),
        _with_others("Stationarity, effect size", "stationarity/effect_size"),
        wr.ScatterPlot(title="Violated and kept", x=violated, y=kept, log_x=True),
    )


def _truth() -> ws.Section:
    names = ("truth/cos", "truth/cos_signed", "truth/cos_smoothed")
    return _section("Truth", *(_with_others(name, name) for name in names))


def _training() -> ws.Section:
    return _section(
        "Training",
        _curve("score", "train_loss", "val_loss", log=True),
        _curve("network", "train_loss", "val_loss", log=True),
        _curve("flow", "train_loss", "val_loss", log=True),
        _curve("flow", "preservation/mmd2_ratio"),
        _curve("flow", "preservation/escaped"),
    )


def _system() -> ws.Section:
    times = [f"time/{stage}_s" for stage in ("data", "score", "network", "flow", "evaluate")]
    axis = "Relative Time (Process)"
    samples = [wr.LinePlot(title=name, x=axis, y=[f"system/{name}"]) for name in SYSTEM_SAMPLES]
    return _section("System", _bars("Seconds of each stage", *times), *samples)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the definition, or save it where ``--save`` asks for it."""
    parser = ArgumentParser(description="Build the W&B workspace of a project.")
    parser.add_argument("--project", default="eqflow")
    parser.add_argument("--entity", default="", help="user or team that owns the project")
    parser.add_argument("--save", action="store_true", help="send it to W&B instead of printing it")
    options = parser.parse_args(arguments)
    workspace = dashboard(options.project, options.entity)
    if not options.save:
        # the package offers no public way to see what it would send
        print(workspace._model.spec.model_dump_json(by_alias=True, exclude_none=True, indent=2))
    elif not options.entity:
        parser.error("--save needs --entity=<user or team>; found none")
    else:
        workspace.save()


if __name__ == "__main__":
    main()
