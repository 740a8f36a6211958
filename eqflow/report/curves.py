"""Figures of measures: preservation over time, losses over steps, similarity to the truth."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eqflow.evaluation import ComparedField, Numbers
from eqflow.evaluation.comparison import MEAN_COSINE, ODD_COSINE, PUBLISHED_COSINE, spread_of
from eqflow.report.style import BAND, TRUTH, WIDTH, logarithmic, new_figure

History = Mapping[str, Sequence[Numbers]]
"""Stage -> its losses, one row for each epoch, with the ``step`` they were measured at."""


def preservation(run: Sequence[ComparedField]) -> Figure | None:
    """Preservation ratio ``MMD^2 / floor95`` over transit times, one line for each field.

    Between -1 and 1, which is sampling noise, the vertical scale is linear, elsewhere logarithmic.
    None where no field was simulated to two horizons or more.
    """
    simulated = [compared for compared in run if compared.ratios]
    if max((len(compared.ratios) for compared in simulated), default=0) < 2:
        return None
    figure = new_figure(WIDTH, 4.8)
    axes = figure.add_subplot(xscale="log", xlabel="transit times", ylabel="MMD² / floor95")
    axes.set_yscale("symlog", linthresh=1, linscale=0.6)
    axes.axhspan(-1, 1, color=BAND, zorder=0, label="sampling noise (ratio ≤ 1)")
    for compared in simulated:
        dashes, width = ("--", 1.2) if compared.null else ("-", 2.4 if compared.own else 1.6)
        style = compared.look | {"linestyle": dashes, "linewidth": width, "markersize": 5}
        axes.plot(*zip(*compared.ratios.items(), strict=True), label=compared.name, **style)
    axes.yaxis.set_major_formatter("{x:g}")
    ticks = simulated[0].ratios
    axes.set_xticks(list(ticks), [f"{horizon:g}" for horizon in ticks])
    axes.minorticks_off()
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def losses(history: History) -> Figure | None:
    """Training and validation loss over steps, one panel for each trained stage.

    None where no stage was trained by gradient descent.
    """
    stages = [s for s, rows in history.items() if any(f"{s}/train_loss" in row for row in rows)]
    if not stages:
        return None
    figure = new_figure(WIDTH / 2 * len(stages), 2.7)
    for column, stage in enumerate(stages, start=1):
        axes = figure.add_subplot(1, len(stages), column, xlabel="step", title=f"{stage} loss")
        _loss(axes, history[stage], stage)
    return figure


def _loss(axes: Axes, rows: Sequence[Numbers], stage: str) -> None:
    values: list[float] = []
    for part, colour in (("train", "#0072B2"), ("val", "#D55E00")):
        name = f"{stage}/{part}_loss"
        curve = [(row["step"], row[name]) for row in rows if name in row]
        if curve:
            axes.plot(*zip(*curve, strict=True), ".-", color=colour, label=part)
            values += [loss for _, loss in curve]
    # an unbiased estimate of a square can be negative, which a logarithm would silently leave out
    if all(loss > 0 for loss in values):
        logarithmic(axes, values)
    axes.legend()


def similarity(run: Sequence[ComparedField]) -> Figure | None:
    """``|cos|`` of each field to the true velocity (full) and to the smoothed one (hollow).

    None where the truth is not known.
    """
    known = [compared for compared in run if "truth/cos" in compared.numbers][::-1]
    if not known:
        return None
    figure = new_figure(WIDTH, 0.8 + 0.32 * len(known))
    label = "|cos| to the true velocity (full), to the smoothed one (hollow)"
    axes = figure.add_subplot(xlim=(0, 1), xlabel=label)
    _cosines(axes, known, full="truth/cos", hollow="truth/cos_smoothed")
    return figure


def image_similarity(run: Sequence[ComparedField]) -> Figure | None:
    """Signed cosines of each field to the true velocity and, where measured, to the displacement.

    Bars are standard deviations over images. None where the truth is not known.
    """
    known = [compared for compared in run if MEAN_COSINE in compared.numbers][::-1]
    if not known:
        return None
    clean = "truth/clean/cos_mean"
    noised = any(clean in compared.numbers for compared in known)
    averaged = ",\naveraged over noise (hollow: without)" if noised else ""
    panels = {f"velocity{averaged}": (MEAN_COSINE, clean)}
    if any(ODD_COSINE in compared.numbers for compared in known):
        label = "displacement,\nodd part (hollow: published, best sign)"
        panels[label] = ODD_COSINE, PUBLISHED_COSINE
    figure = new_figure(1.4 + 2.2 * len(panels), 1.0 + 0.32 * len(known))
    for column, (label, (full, hollow)) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), column, xlabel=f"cosine of the {label}")
        axes.axvline(0, color=TRUTH, linewidth=0.8)
        _cosines(axes, known, full, hollow)
        if column > 1:
            axes.set_yticklabels([])
    return figure


def _cosines(axes: Axes, run: Sequence[ComparedField], full: str, hollow: str) -> None:
    """Two measures of each field, one above the other, with their spread."""
    for row, compared in enumerate(run):
        for name, height, fill in ((hollow, row - 0.14, "none"), (full, row + 0.14, "full")):
            if name in compared.numbers:
                style: dict[str, Any] = compared.look | {"markersize": 6, "fillstyle": fill}
                spread = spread_of(compared.numbers, name)
                cosine = compared.numbers[name]
                axes.errorbar(cosine, height, xerr=spread, clip_on=False, capsize=3, **style)
    axes.set_yticks(range(len(run)), [compared.name for compared in run])
    axes.set_ylim(-0.6, len(run) - 0.4)
