"""Peaks of maps on a periodic canvas."""

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import max_pool2d, pad


def maxima(
    score: Float[Tensor, "frames height width"], least: float, reach: float
) -> Int[np.ndarray, "n 3"]:
    """Frame, row and column of local maxima of ``least`` or more, the highest first.

    Local are those that no pixel exceeds up to ``reach`` pixels away along each axis.
    """
    k = max(1, int(reach))
    around = max_pool2d(pad(score[:, None], (k,) * 4, mode="circular"), 2 * k + 1, 1)[:, 0]
    at = ((score == around) & (score >= least)).nonzero()
    return at[score[tuple(at.T)].argsort(descending=True)].cpu().numpy()


def separated(
    peaks: Int[np.ndarray, "n 3"], canvas: tuple[int, int], distance: float
) -> Int[np.ndarray, "k 3"]:
    """Peaks that have none before them within ``distance`` in the same frame."""
    kept = np.empty((0, 3), dtype=int)
    for peak in peaks:
        apart = np.abs(kept[kept[:, 0] == peak[0], 1:] - peak[1:])
        if (np.hypot(*np.minimum(apart, np.array(canvas) - apart).T) >= distance).all():
            kept = np.append(kept, peak[None], axis=0)
    return kept


def vertex(
    score: Tensor, at: tuple[np.ndarray, ...], axis: int
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Vertices of the parabolas through entries and their neighbours along a periodic axis.

    Args:
        score: values on a grid.
        at: indices of ``n`` local maxima, one array for each axis.
        axis: along which to look, counted from the front.

    Returns:
        Offsets from the entries, up to half a step, and heights above them.
    """
    before, here, after = (
        score[(*at[:axis], (at[axis] + k) % score.shape[axis], *at[axis + 1 :])].cpu().numpy()
        for k in (-1, 0, 1)
    )
    bend = np.maximum(2 * here - before - after, 1e-9)
    offset = ((after - before) / (2 * bend)).clip(-0.5, 0.5)
    return offset, offset * (after - before) / 4
