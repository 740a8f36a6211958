"""Figures and films of a run on images: frames over time, and textures after the last of them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from eqflow.evaluation import ComparedField
from eqflow.report import frames
from eqflow.report.display import Display
from eqflow.report.frames import ImageSequence
from eqflow.report.text import SIGMA, number
from eqflow.report.textures import textures

FRAME_TIMES = (0.0, 1.0, 2.0, 5.0, 10.0)
"""Transit times of the frames in a row."""

FILM_TIME = 10.0
"""Length of a film, in transit times."""


def figures(run: Sequence[ComparedField], display: Display) -> dict[str, Figure]:
    """Frames of all fitted fields and of the true system, and textures of the run's own field."""
    own, times = run[0], torch.tensor(FRAME_TIMES)
    path = display.path(own, times, display.textured_images)
    sequences = [ImageSequence(_title(own), path[:, 0])]
    for compared in run[1:]:
        if not compared.null:
            images = display.path(compared, times, 1)[:, 0]
            sequences.append(ImageSequence(_title(compared), images))
    truth = display.true_path(display.snapshots.test[:1], times)
    if truth is not None:
        sequences.append(ImageSequence("true system", truth[:, 0]))
    return {
        "frames": frames.frame_rows(sequences, FRAME_TIMES, _colour_scale(display)),
        "textures": textures(own, display, path[-1], FRAME_TIMES[-1]),
    }


def film(run: Sequence[ComparedField], display: Display, path: Path) -> Path:
    """A film of the run's own field and, where it is known, of the true system beside it."""
    own, times = run[0], torch.linspace(0, FILM_TIME, display.film_frames)
    clean = _start(own, display)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(display.seed))
    start = clean + own.sigma * noise.to(clean)
    panels = [display.path_from(own, start, times)[:, 0]]
    truth = display.true_path(clean, times)
    if truth is not None:
        panels.append(truth[:, 0])
    return frames.film(path, panels, _colour_scale(display))


def _start(compared: ComparedField, display: Display) -> Float[Tensor, "1 channels height width"]:
    """A mosaic of four held-out images; the first alone where the score needs its own size."""
    test = display.snapshots.test
    four = test[[i * len(test) // 4 for i in range(4)]]
    if compared.sigma and not display.model.score.any_canvas:
        return four[:1]
    top, bottom = torch.cat([four[0], four[1]], 2), torch.cat([four[2], four[3]], 2)
    return torch.cat([top, bottom], 1)[None]


def _colour_scale(display: Display) -> Normalize | None:
    """That of all held-out images; none for scenes, which have their own colours."""
    if display.snapshots.scene:
        return None
    return frames.colour_scale(display.raw(display.snapshots.test))


def _title(compared: ComparedField) -> str:
    return compared.name + (f"\n{SIGMA} = {number(compared.sigma)}" if compared.sigma else "")
