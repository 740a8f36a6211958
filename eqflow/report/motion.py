"""How a run's image fields move: frames at a few times, textures after the last, films."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from eqflow.evaluation import ComparedField
from eqflow.report import frames
from eqflow.report.display import Display
from eqflow.report.frames import Strip
from eqflow.report.style import SIGMA, number
from eqflow.report.textures import textures

TIMES = (0.0, 1.0, 2.0, 5.0, 10.0)
"""Transit times of the frames in a strip."""


RUNS = 24
"""Images that are simulated for the textures."""


LENGTH, FRAMES = 10.0, 60
"""Transit times and frames of a film."""


def pictures(run: Sequence[ComparedField], display: Display) -> dict[str, Figure]:
    """Strips of every fitted field and of the true system; textures of the run's own field."""
    own, times = run[0], torch.tensor(TIMES)
    after = display.path(own, times, RUNS)
    rows = [Strip(_title(own), after[:, 0])]
    rows += [Strip(_title(e), display.path(e, times, 1)[:, 0]) for e in run[1:] if not e.null]
    truth = display.true_path(times, 1)
    if truth is not None:
        rows.append(Strip("true system", truth[:, 0]))
    kept, moved = (_standard(display, x) for x in (display.states(own.sigma), after[-1]))
    return {
        "frames": frames.strips(rows, TIMES, _norm(display)),
        "textures": textures(kept, moved, own, TIMES[-1]),
    }


def films(run: Sequence[ComparedField], display: Display, folder: Path) -> dict[str, Path]:
    """A film of the run's own field beside the true system, from one mosaic of held-out images."""
    own, times = run[0], torch.linspace(0, LENGTH, FRAMES)
    clean = _start(own, display)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(display.seed))
    start = clean + own.sigma * noise.to(clean)
    panels = [display.path_from(own, start, times)[:, 0]]
    truth = display.true_path_from(clean, times)
    if truth is not None:
        panels.append(truth[:, 0])
    return {"film": frames.film(folder / "film.mp4", panels, _norm(display))}


def _start(compared: ComparedField, display: Display) -> Float[Tensor, "1 channels height width"]:
    """Four held-out images on a canvas of twice the side; one where the score knows no other."""
    test = display.snapshots.test
    four = test[[i * len(test) // 4 for i in range(4)]]
    if compared.sigma and not display.model.score.any_canvas:
        return four[:1]
    top, bottom = torch.cat([four[0], four[1]], 2), torch.cat([four[2], four[3]], 2)
    return torch.cat([top, bottom], 1)[None]


def _norm(display: Display) -> Normalize:
    return frames.norm_of(display.raw(display.snapshots.test))


def _standard(display: Display, raw: Float[np.ndarray, "n *shape"]) -> Float[Tensor, "n *shape"]:
    return display.snapshots.standardiser.standard(torch.as_tensor(raw))


def _title(compared: ComparedField) -> str:
    return compared.name + (f"\n{SIGMA} = {number(compared.sigma)}" if compared.sigma else "")
