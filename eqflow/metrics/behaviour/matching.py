"""Matched filters: how well frames show an icon at each pixel, and what they show besides."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.metrics.behaviour.peaks import maxima
from eqflow.metrics.behaviour.templates import Templates, centred

LEFT = 0.5
"""Share of an icon that no better match may have explained, for its match to be an object."""


class MatchedFilter:
    """Correlation of frames with the templates of one icon, over a periodic canvas.

    With ``f`` the frame less the background, ``t`` a template and sums over the icon's disc,

        match = sum f t / max(sum f^2, sum t^2).

    It is 1 only where the frame shows the icon itself: divided by the larger of the two energies,
    it falls with what is missing, with what does not belong there, and with faded colours.
    """

    def __init__(self, templates: Templates, canvas: tuple[int, int]) -> None:
        self.templates, self.canvas = templates, canvas
        self.waves = torch.fft.rfft2(centred(templates.images, canvas)).conj()
        self.icons = templates.images.movedim(1, -1).cpu().numpy()
        self.disc = disc(templates.radius + 1, canvas).to(templates.images)

    def __call__(
        self, difference: Float[Tensor, "frames 3 height width"]
    ) -> Float[Tensor, "frames angles height width"]:
        """The match of each template at each pixel of frames less the background."""
        waves = torch.einsum("fchw,achw->fahw", torch.fft.rfft2(difference), self.waves)
        energy = summed(difference.square().sum(1), self.disc)[:, None]
        largest = torch.maximum(energy, self.templates.energies[:, None, None])
        return torch.fft.irfft2(waves, s=self.canvas) / largest


def explaining(
    difference: Float[Tensor, "frames 3 height width"],
    matches: Sequence[Float[Tensor, "frames _ height width"]],
    filters: Sequence[MatchedFilter],
    least: float,
) -> Int[np.ndarray, "n 5"]:
    """Peaks that explain what no higher peak does, by matching pursuit.

    Two icons side by side can look like a third one between them, of which nothing is left when
    they are taken away.

    Returns:
        Species, frame, angle, row and column of each.
    """
    rest, kept = difference.movedim(1, -1).cpu().numpy().copy(), []
    best = torch.stack([match.amax(1) for match in matches])
    narrow = min(each.templates.radius for each in filters) / 4
    for frame, row, column in maxima(best.amax(0), least, narrow):
        species = int(best[:, frame, row, column].argmax())
        angle = int(matches[species][frame, :, row, column].argmax())
        icon = filters[species].icons[angle]
        reach = np.arange(len(icon)) - len(icon) // 2
        height, width = difference.shape[2:]
        at = (frame, ((row + reach) % height)[:, None], (column + reach) % width)
        if (rest[at] * icon).sum() >= LEFT * (icon**2).sum():
            rest[at] -= icon
            kept.append((species, frame, angle, row, column))
    return np.array(kept, dtype=int).reshape(-1, 5)


def unexplained(
    difference: Float[Tensor, "frames 3 height width"],
    peaks: Int[np.ndarray, "n 3"],
    filters: Sequence[MatchedFilter],
) -> Float[Tensor, "frames height width"]:
    """Energy about each pixel that is none of the objects at ``peaks``.

    It is weighted by a Gaussian of two thirds of an icon's radius, and given as a share of what the
    faintest icon has.
    """
    power, canvas = difference.square().sum(1), filters[0].canvas
    radius = sum(each.templates.radius for each in filters) / len(filters)
    objects = torch.zeros_like(power)
    objects[tuple(peaks.T)] = 1
    covered = summed(objects, disc(1.2 * radius, canvas).to(power)) > 0.5
    window = torch.exp(-((1.5 * distance(canvas) / radius) ** 2) / 2).to(power)
    lone = [each.templates.images[:1].square().sum(1) for each in filters]
    usual = min(summed(centred(icon, canvas), window)[0, 0, 0].item() for icon in lone)
    return summed(power.where(~covered, 0), window) / usual


def distance(canvas: tuple[int, int]) -> Float[Tensor, "height width"]:
    """Distance of each pixel of a periodic canvas from the first one."""
    lines = [torch.arange(length, dtype=torch.float32) for length in canvas]
    down, right = (torch.minimum(line, len(line) - line) for line in lines)
    return torch.hypot(down[:, None], right)


def disc(radius: float, canvas: tuple[int, int]) -> Float[Tensor, "height width"]:
    """Indicator of a disc about the first pixel of a periodic canvas."""
    return (distance(canvas) <= radius).float()


def summed(
    x: Float[Tensor, "frames height width"], window: Float[Tensor, "height width"]
) -> Float[Tensor, "frames height width"]:
    """Sum of ``x`` about each pixel of a periodic canvas, weighted by a window that is even."""
    waves = torch.fft.rfft2(x) * torch.fft.rfft2(window)
    return torch.fft.irfft2(waves, s=x.shape[-2:])
