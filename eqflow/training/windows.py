"""Periodic windows of images at random places, turned and mirrored at random."""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.processes import Draws, generator, rows
from eqflow.training.batches import Batch


def windows(
    batch: Batch, seed: int, step: int, side: int | None = None, turned: bool = True
) -> Float[Tensor, "batch channels height width"]:
    """One window of each image, ``side`` pixels square or as large as the image.

    Its place is uniform; ``turned`` mirrors it along either axis and, if it is square, along the
    diagonal, each with probability one half. Draws are those of (seed, step, global row).
    """
    x, total = batch
    draw = generator(seed, Draws.WINDOWS, step, x.device)
    places = torch.rand(total, 5, generator=draw, device=x.device)[rows(total)]
    coins = (places[:, 2:] < 0.5) & turned
    i, j = (_line(places[:, axis], coins[:, axis], x.shape[2 + axis], side) for axis in (0, 1))
    image = torch.arange(len(x), device=x.device)[:, None, None]
    cut = x.permute(0, 2, 3, 1)[image, i[:, :, None], j[:, None, :]].permute(0, 3, 1, 2)
    if cut.shape[2] == cut.shape[3]:
        cut = torch.where(coins[:, 2, None, None, None], cut.mT, cut)
    return cut.contiguous()


def _line(place: Tensor, mirrored: Tensor, length: int, side: int | None) -> Tensor:
    """Indices of ``side`` pixels in a row, for each image; periodic, backwards where mirrored."""
    steps = torch.arange(side or length, device=place.device)
    sign = 1 - 2 * mirrored.long()
    return ((place * length).long()[:, None] + sign[:, None] * steps) % length
