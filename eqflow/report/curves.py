"""Pictures of numbers: preservation over time, losses over steps, similarity to the truth."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eqflow.evaluation import ComparedField, Numbers
from eqflow.evaluation.comparison import MEAN_COSINE, ODD_COSINE, PUBLISHED_COSINE, spread_of
from eqflow.report.style import BAND, TRUTH, logarithmic, sheet

History = Mapping[str, Sequence[Numbers]]
"""Stage -> one row of measures per epoch, each with its ``step``."""


def preservation(run: Sequence[ComparedField]) -> Figure | None:
    """``MMD^2 / floor95`` over transit times of every simulated field.

    Between -1 and 1, which is sampling noise, the vertical scale is linear, elsewhere logarithmic.
    """
    simulated = [compared for compared in run if compared.ratios]
    if not simulated:
        return None
    figure = sheet(8.0, 3.9)
    axes = figure.add_subplot(xscale="log", xlabel="transit times", ylabel="MMD² / floor95")
    axes.set_yscale("symlog", linthresh=1, linscale=0.6)
    axes.axhspan(-1, 1, color=BAND, zorder=0, label="sampling noise (ratio ≤ 1)")
    for compared in simulated:
        axes.plot(
            *zip(*compared.ratios.items(), strict=True), label=compared.name, **_line(compared)
        )
    axes.yaxis.set_major_formatter("{x:g}")
    ticks = simulated[0].ratios
    axes.set_xticks(list(ticks), [f"{h:g}" for h in ticks])
    axes.minorticks_off()
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


def _line(compared: ComparedField) -> dict[str, Any]:
    dashed, width = ("--", 1.2) if compared.null else ("-", 2.4 if compared.own else 1.6)
    return compared.look | {"linestyle": dashed, "linewidth": width, "markersize": 5}


def losses(history: History) -> Figure | None:
    """Training and validation loss of each trained stage against the step."""
    names = {stage: f"{stage}/train_loss" for stage in history}
    stages = [stage for stage, rows in history.items() if any(names[stage] in row for row in rows)]
    if not stages:
        return None
    figure = sheet(4.0 * len(stages), 2.9)
    for column, stage in enumerate(stages, start=1):
        axes = figure.add_subplot(1, len(stages), column, xlabel="step", title=f"{stage} loss")
        _loss(axes, history[stage], stage)
    return figure


def _loss(axes: Axes, rows: Sequence[Numbers], stage: str) -> None:
    seen = []
    for part, colour in (("train", "#0072B2"), ("val", "#D55E00")):
        name = f"{stage}/{part}_loss"
        points = [(row["step"], row[name]) for row in rows if name in row]
        if points:
            axes.plot(*zip(*points, strict=True), ".-", color=colour, label=part)
            seen += [loss for _, loss in points]
    # an unbiased estimate of a square can be negative, which a logarithm would silently leave out
    if all(loss > 0 for loss in seen):
        logarithmic(axes, seen)
    axes.legend()


def similarity(run: Sequence[ComparedField]) -> Figure | None:
    """|cos| to the true velocity (full) and to the smoothed one (hollow)."""
    known = [compared for compared in run if "truth/cos" in compared.numbers][::-1]
    if not known:
        return None
    figure = sheet(7.0, 0.8 + 0.32 * len(known))
    label = "|cos| to the true velocity (full) and to the smoothed one (hollow)"
    axes = figure.add_subplot(xlim=(0, 1), xlabel=label)
    for row, compared in enumerate(known):
        _dot(axes, compared, "truth/cos_smoothed", row - 0.14, fillstyle="none")
        _dot(axes, compared, "truth/cos", row + 0.14, fillstyle="full")
    axes.set_yticks(range(len(known)), [compared.name for compared in known])
    axes.set_ylim(-0.6, len(known) - 0.4)
    return figure


def image_similarity(run: Sequence[ComparedField]) -> Figure | None:
    """Signed cosines to the true velocity, beside it of displacements, with their spread."""
    known = [compared for compared in run if MEAN_COSINE in compared.numbers][::-1]
    if not known:
        return None
    clean = "truth/clean/cos_mean"
    noised = any(clean in compared.numbers for compared in known)
    averaged = ",\naveraged over noise (hollow: without)" if noised else ""
    names = {f"velocity{averaged}": (MEAN_COSINE, clean)}
    if any(ODD_COSINE in compared.numbers for compared in known):
        names["displacement,\nodd part (hollow: published, best sign)"] = (
            ODD_COSINE,
            PUBLISHED_COSINE,
        )
    figure = sheet(1.5 + 3.6 * len(names), 1.0 + 0.32 * len(known))
    for column, (label, (full, hollow)) in enumerate(names.items(), start=1):
        axes = figure.add_subplot(1, len(names), column, xlabel=f"cosine of the {label}")
        axes.axvline(0, color=TRUTH, linewidth=0.8)
        for row, compared in enumerate(known):
            _dot(axes, compared, hollow, row - 0.14, fillstyle="none")
            _dot(axes, compared, full, row + 0.14, fillstyle="full")
        axes.set_yticks(range(len(known)), [e.name if column == 1 else "" for e in known])
        axes.set_ylim(-0.6, len(known) - 0.4)
    return figure


def _dot(axes: Axes, compared: ComparedField, name: str, height: float, **style: Any) -> None:
    if name in compared.numbers:
        style |= compared.look | {"markersize": 6, "clip_on": False, "capsize": 3}
        spread = spread_of(compared.numbers, name)
        axes.errorbar(compared.numbers[name], height, xerr=spread, **style)
