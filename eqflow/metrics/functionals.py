"""Functionals of a planar motion, such as its circulation, and their confidence bands."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.metrics.variance import deviations

BAND_QUANTILES = (0.05, 0.95)
"""Ends of a band."""


def circulation(
    x: Float[Tensor, "states dim"], v: Float[Tensor, "fields states dim"]
) -> Float[Tensor, " fields"]:
    """``E[x_1 v_2 - x_2 v_1]`` about the mean state, at unit speed ``E|v|^2 / d = 1``."""
    return _moment(x, v).mean(1)


def angular_speed(
    x: Float[Tensor, "states dim"], v: Float[Tensor, "fields states dim"]
) -> Float[Tensor, " fields"]:
    """``E[(x_1 v_2 - x_2 v_1) / (x_1^2 + x_2^2)]`` about the mean state, at unit speed."""
    r2 = (x - x.mean(0))[:, :2].square().sum(1)
    return (_moment(x, v) / r2).mean(1)


FUNCTIONALS = {"circulation": circulation, "mean angular speed": angular_speed}
"""Name -> functional of states ``(states, dim)`` and velocities ``(fields, states, dim)``."""


def bootstrapped(
    name: str,
    x: Float[Tensor, "states dim"],
    v: Float[Tensor, "fields states dim"],
    draws: int = 200,
    seed: int = 0,
) -> Float[Tensor, "fields draws"]:
    """A functional of each field over bootstrap samples of the states, the same for all fields.

    So a band over fields and draws holds the error of a finite sample too. It is needed where the
    truth is the end of what is possible: no field lies beyond it, but other samples do.
    """
    generator = torch.Generator().manual_seed(seed)
    samples = torch.randint(len(x), (draws, len(x)), generator=generator).to(x.device)
    return torch.stack([FUNCTIONALS[name](x[rows], v[:, rows]) for rows in samples], 1)


def band(values: Float[Tensor, "fields draws"]) -> tuple[float, float]:
    """The interval that holds the central 90 % of fields and draws."""
    low, high = values.quantile(values.new_tensor(BAND_QUANTILES)).tolist()
    return low, high


def within_cells(
    values: Float[Tensor, "fields draws"], cell: Int[Tensor, " fields"]
) -> Float[Tensor, "fields draws"]:
    """Values as seeds alone would spread them: deviations in the cell about the overall median."""
    return values.quantile(0.5, 0) + deviations(values, cell)


def _moment(x: Tensor, v: Tensor) -> Float[Tensor, "fields states"]:
    x = x - x.mean(0)
    v = v / v.square().mean((1, 2), keepdim=True).sqrt()
    return x[:, 0] * v[..., 1] - x[:, 1] * v[..., 0]
