"""The Gray-Scott reaction and diffusion system on a periodic grid (Pearson 1993), in raw units."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError


class Rates(NamedTuple):
    """``feed`` F and ``kill`` k of the reaction, and the diffusion of both substances.

    Lengths are in grid spacings, times in those of an Euler step of one.
    """

    feed: float
    kill: float
    du: float = 0.16
    dv: float = 0.08


PRESETS = {
    "life": Rates(0.006, 0.045),
    "waves": Rates(0.018, 0.049),
    "spirals": Rates(0.007, 0.028),
    "maze": Rates(0.029, 0.057),
    "chaos": Rates(0.026, 0.051, du=0.10, dv=0.05),
}
"""Named patterns."""


class GrayScott:
    """``u_t = Du lap u - u v^2 + F (1 - u)``, ``v_t = Dv lap v + u v^2 - (F + k) v``.

    States are ``(batch, 2, height, width)``; the Laplacian has five points. Raises ``InputError``
    for an unknown preset.
    """

    channels = 2

    def __init__(self, preset: str = "waves") -> None:
        if preset not in PRESETS:
            raise InputError(
                f"data.preset={preset} is unknown; expected one of {', '.join(PRESETS)}"
            )
        self.preset, self.rates = preset, PRESETS[preset]

    def velocity(
        self, x: Float[Tensor, "batch 2 height width"]
    ) -> Float[Tensor, "batch 2 height width"]:
        """Right-hand side at raw states, in raw units per unit of time."""
        (u, v), r = x.unbind(1), self.rates
        reaction = u * v**2
        diffusion = laplacian(x)
        return torch.stack(
            [
                r.du * diffusion[:, 0] - reaction + r.feed * (1 - u),
                r.dv * diffusion[:, 1] + reaction - (r.feed + r.kill) * v,
            ],
            dim=1,
        )


def laplacian(x: Float[Tensor, "*batch height width"]) -> Float[Tensor, "*batch height width"]:
    """Five-point Laplacian on a periodic grid of spacing one."""
    neighbours = sum(torch.roll(x, step, axis) for step in (1, -1) for axis in (-1, -2))
    return neighbours - 4 * x
