"""What is peculiar to images: whether they close on themselves."""

import logging
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.runtime import chunks

log = logging.getLogger("eqflow")


RATIO = 1.5
"""Jump across the border, in mean jumps between neighbours, above which a warning is given."""


ERRORS = 4.0
"""Standard errors that the difference of the two must have beside."""


class BorderJump(NamedTuple):
    """Mean absolute jump from the last pixel to the first, over that between neighbours.

    ``errors`` is the difference of the two in its standard errors over images.
    """

    ratio: float
    errors: float


def border_jump(x: Float[Tensor, "batch channel height width"], axis: int) -> BorderJump:
    """Of raw images, each channel in units of its own jumps, along ``axis`` (-2 or -1)."""
    parts = [x[k].double() for k in chunks(torch.arange(len(x)), tuple(x.shape[1:]))]
    inside = torch.cat([part.diff(dim=axis).abs().mean((2, 3)) for part in parts])
    ends = (part.select(axis, 0) - part.select(axis, -1) for part in parts)
    across = torch.cat([end.abs().mean(-1) for end in ends])
    usual = inside.mean(0).clamp(min=torch.finfo(torch.float64).tiny)
    excess = ((across - inside) / usual).mean(1)
    error = excess.std() / len(x) ** 0.5
    return BorderJump(1 + excess.mean().item(), (excess.mean() / error.clamp(min=1e-12)).item())


def warn_if_not_periodic(x: Float[Tensor, "batch channel height width"], name: str) -> None:
    """Say so where images are not periodic, as everything made of them takes them to be."""
    for axis, side in ((-2, "top and bottom"), (-1, "left and right")):
        found = border_jump(x, axis)
        if found.ratio > RATIO and found.errors > ERRORS:
            log.warning(
                "%s: the images do not look periodic, from %s they jump %.1f times as much as "
                "between neighbours; what is learned is wrong near the borders",
                name,
                side,
                found.ratio,
            )
