"""Periodicity of images: the jump across their border beside that between neighbours.

Scores and fields of images pad periodically; images that are not periodic mislead them there.
"""

import logging
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.runtime import chunks

log = logging.getLogger("eqflow")


BORDER_JUMP_RATIO = 1.5
"""Mean jump across the border over that between neighbours, above which images are reported."""


BORDER_JUMP_ERRORS = 4.0
"""Standard errors by which the two must differ as well."""


class BorderJump(NamedTuple):
    """Mean absolute jump from the last pixel to the first, beside that between neighbours.

    ``ratio`` is the first over the second, ``errors`` their difference in standard errors over
    images.
    """

    ratio: float
    errors: float


def border_jump(x: Float[Tensor, "batch channel height width"], axis: int) -> BorderJump:
    """Border jump of raw images along ``axis`` (-2 or -1); channels count in their own jumps."""
    parts = [x[k].double() for k in chunks(torch.arange(len(x)), tuple(x.shape[1:]))]
    within = torch.cat([part.diff(dim=axis).abs().mean((2, 3)) for part in parts])
    ends = (part.select(axis, 0) - part.select(axis, -1) for part in parts)
    across = torch.cat([end.abs().mean(-1) for end in ends])
    usual = within.mean(0).clamp(min=torch.finfo(torch.float64).tiny)
    excess = ((across - within) / usual).mean(1)
    error = excess.std() / len(x) ** 0.5
    return BorderJump(1 + excess.mean().item(), (excess.mean() / error.clamp(min=1e-12)).item())


def warn_if_not_periodic(x: Float[Tensor, "batch channel height width"], name: str) -> None:
    """Log a warning that names the data, ``name``, if raw images do not look periodic."""
    for axis, side in ((-2, "top and bottom"), (-1, "left and right")):
        jump = border_jump(x, axis)
        if jump.ratio > BORDER_JUMP_RATIO and jump.errors > BORDER_JUMP_ERRORS:
            log.warning(
                "%s: the images do not look periodic, from %s they jump %.1f times as much as "
                "between neighbours; what is learned is wrong near the borders",
                name,
                side,
                jump.ratio,
            )
