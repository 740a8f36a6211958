"""Objects located in films: the icons that frames show, and what they show besides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.metrics.behaviour.matching import MatchedFilter, explaining, unexplained
from eqflow.metrics.behaviour.peaks import maxima, separated, vertex
from eqflow.metrics.behaviour.templates import Templates
from eqflow.runtime import chunks

WHOLE = 0.85
"""Match from which an object is said to be the icon.

Seen for a firefly, a taiji, a dot and two dots of 12 and 16 pixels: at least .92 with noise of .05,
.8 if also blurred by a pixel; .67 to .89 for three quarters of an icon, up to .57 for half of it,
up to .71 for one of seven tenths of the contrast, .43 to .91 for two that overlap by half.
"""

PEAK = 0.75
"""Match from which a peak is an object; below, icons that touch make peaks between them."""

ENERGY = 0.25
"""Energy, as a share of an icon's, from which what shows no icon is an object too."""


@dataclass(frozen=True, eq=False)
class Detections:
    """Objects located in the frames of a film.

    Args:
        frame: number of the frame, in increasing order.
        position: row and column of the icon's middle, in pixels from the middle of the first one.
        angle: angle by which the icon is turned counter-clockwise, in radians; NaN for a disc.
        species: which of the icons the object resembles most.
        match: how well it does, in ``[0, 1]``; see ``MatchedFilter``.
        frames: number of frames of the film.
        canvas: height and width, in pixels.
        radius: mean radius of the icons, in pixels.
        periods: angle after which each icon looks the same; zero for a disc.
    """

    frame: Int[np.ndarray, " n"]
    position: Float[np.ndarray, "n 2"]
    angle: Float[np.ndarray, " n"]
    species: Int[np.ndarray, " n"]
    match: Float[np.ndarray, " n"]
    frames: int
    canvas: tuple[int, int]
    radius: float
    periods: tuple[float, ...]


def locate(
    frames: Float[Tensor, "frames 3 height width"],
    icons: Sequence[Float[Tensor, "4 _ _"]],
    background: Float[Tensor, "3"],
) -> Detections:
    """Objects in the frames of a film on a periodic canvas.

    Peaks of the match from ``PEAK`` are objects. So are peaks of the energy that those leave, from
    ``ENERGY``: deformed icons and what else is no background.

    Args:
        frames: red, green and blue, in ``[0, 1]`` but for noise.
        icons: red, green, blue and alpha in ``[0, 1]``, not premultiplied; their middle is that of
            the picture.
        background: the colour of the canvas.

    Raises:
        InputError: for an icon that looks like the background.
    """
    canvas, background = (frames.shape[2], frames.shape[3]), background.to(frames)
    banks = [Templates.of(icon.to(frames), background) for icon in icons]
    filters = [MatchedFilter(bank, canvas) for bank in banks]
    count = sum(len(bank.images) for bank in banks)
    parts = [np.empty((0, 6))]
    for rows in chunks(torch.arange(len(frames)), (count, *canvas)):
        found = _located(frames[rows] - background[:, None, None], filters)
        found[:, 0] += rows[0].item()
        parts.append(found)
    frame, row, column, angle, species, match = np.concatenate(parts).T
    radius = sum(bank.radius for bank in banks) / len(banks)
    return Detections(
        frame.astype(int), np.stack([row, column], 1), angle, species.astype(int), match,
        len(frames), canvas, radius, tuple(bank.period for bank in banks),
    )  # fmt: skip


def _located(
    difference: Float[Tensor, "frames 3 height width"], filters: Sequence[MatchedFilter]
) -> Float[np.ndarray, "n 6"]:
    """Frame, row, column, angle, species and match of each object."""
    canvas, radius = filters[0].canvas, min(each.templates.radius for each in filters)
    matches = [each(difference) for each in filters]
    icons = explaining(difference, matches, filters, PEAK)
    rest = unexplained(difference, icons[:, [1, 3, 4]], filters)
    others = separated(maxima(rest, ENERGY, radius / 2), canvas, radius)
    likest = np.stack([match.amax(1)[tuple(others.T)].cpu().numpy() for match in matches]).argmax(0)
    found = []
    for species, match in enumerate(matches):
        frame, row, column = others[likest == species].T
        angle = match[frame, :, row, column].argmax(1).cpu().numpy()
        deformed = (frame, angle, row, column)
        whole = tuple(icons[icons[:, 0] == species, 1:].T)
        for at, score in ((whole, match), (deformed, rest[:, None].expand_as(match))):
            found.append(_described(at, score, match, filters[species].templates, species))
    objects = np.concatenate(found)
    return objects[objects[:, 0].argsort(kind="stable")]


def _described(
    at: tuple[Int[np.ndarray, " n"], ...],
    score: Float[Tensor, "frames angles height width"],
    match: Float[Tensor, "frames angles height width"],
    templates: Templates,
    species: int,
) -> Float[np.ndarray, "n 6"]:
    """Objects at peaks of ``score``: ``at`` holds their frame, angle, row and column."""
    down, right = (vertex(score, at, axis)[0] for axis in (2, 3))
    (turn, *_), gains = zip(*(vertex(match, at, axis) for axis in (1, 2, 3)), strict=True)
    frame, angle, row, column = at
    height, width = match.shape[2:]
    return np.stack(
        [
            frame,
            (row + down) % height,
            (column + right) % width,
            (angle + turn) * (templates.step or np.nan) % templates.period,
            np.full(len(frame), species),
            (match[at].cpu().numpy() + sum(gains)).clip(0, 1),
        ],
        axis=1,
    )
