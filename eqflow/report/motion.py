"""How a run's image fields move: frames at a few times, textures after the last, films."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from eqflow.report import frames
from eqflow.report.entry import Entry
from eqflow.report.frames import Strip
from eqflow.report.scene import Scene
from eqflow.report.style import SIGMA, number
from eqflow.report.textures import textures
from eqflow.score import EmpiricalScore

TIMES = (0.0, 1.0, 2.0, 5.0, 10.0)
"""Transit times of the frames in a strip."""


RUNS = 24
"""Images that are simulated for the textures."""


LENGTH, FRAMES = 10.0, 60
"""Transit times and frames of a film."""


def pictures(run: Sequence[Entry], scene: Scene) -> dict[str, Figure]:
    """Strips of every fitted field and of the true system; textures of the run's own field."""
    own, times = run[0], torch.tensor(TIMES)
    after = scene.path(own, times, RUNS)
    rows = [Strip(_title(own), after[:, 0])]
    rows += [Strip(_title(e), scene.path(e, times, 1)[:, 0]) for e in run[1:] if not e.null]
    truth = scene.true_path(times, 1)
    if truth is not None:
        rows.append(Strip("true system", truth[:, 0]))
    kept, moved = (_standard(scene, x) for x in (scene.states(own.sigma), after[-1]))
    return {
        "frames": frames.strips(rows, TIMES, _norm(scene)),
        "textures": textures(kept, moved, own, TIMES[-1]),
    }


def films(run: Sequence[Entry], scene: Scene, folder: Path) -> dict[str, Path]:
    """A film of the run's own field beside the true system, from one mosaic of held-out images."""
    own, times = run[0], torch.linspace(0, LENGTH, FRAMES)
    clean = _start(own, scene)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(scene.seed))
    start = clean + own.sigma * noise.to(clean)
    panels = [scene.path_from(own, start, times)[:, 0]]
    truth = scene.true_path_from(clean, times)
    if truth is not None:
        panels.append(truth[:, 0])
    return {"film": frames.film(folder / "film.mp4", panels, _norm(scene))}


def _start(entry: Entry, scene: Scene) -> Float[Tensor, "1 channels height width"]:
    """Four held-out images on a canvas of twice the side; one where the score knows no other."""
    test = scene.snapshots.test
    four = test[[i * len(test) // 4 for i in range(4)]]
    if entry.sigma and isinstance(scene.model.score, EmpiricalScore):
        return four[:1]
    top, bottom = torch.cat([four[0], four[1]], 2), torch.cat([four[2], four[3]], 2)
    return torch.cat([top, bottom], 1)[None]


def _norm(scene: Scene) -> Normalize:
    return frames.norm_of(scene.raw(scene.snapshots.test))


def _standard(scene: Scene, raw: Float[np.ndarray, "n *shape"]) -> Float[Tensor, "n *shape"]:
    return scene.snapshots.standardiser.standard(torch.as_tensor(raw))


def _title(entry: Entry) -> str:
    return entry.name + (f"\n{SIGMA} = {number(entry.sigma)}" if entry.sigma else "")
