"""Descent of noise levels by the probability-flow ODE.

States ``x`` of ``p_sigma`` that move with ``dx/dsigma = -sigma s(x, sigma)`` are of ``p_sigma`` at
every level (Karras et al. 2022, arXiv 2206.00364). Where they start decides the shares of separate
parts of a distribution: noised snapshots have the right ones, and keep them at levels too low to
carry states from one part to another. Langevin dynamics at such a level cannot mend wrong ones, as
denoising there does not see how deep one part lies below another (method section 7).
"""

from collections.abc import Callable
from itertools import pairwise
from math import ceil, log2

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.data import spacing
from eqflow.score.base import Score

STEPS_PER_OCTAVE = 3
"""Steps in which the noise is halved: the width of a Gaussian is then right within 1 %."""

APART = 2.0
"""Noise of snapshots that are far apart, in distances between them: enough to make them new."""

CORRECTED_LEVELS, CORRECTIONS, STRIDE = (16.0, 8.0, 4.0, 2.0), 100, 0.2
"""Of a corrected descent: where it pauses, over its lowest level; the Langevin steps there; and
their length, over the square of the level."""

Denoising = Callable[[Tensor, float], Tensor]
"""Score of states at a noise level."""


def descend(
    score: Denoising, x: Float[Tensor, "n *shape"], high: float, low: float
) -> Float[Tensor, "n *shape"]:
    """States of ``p_low`` that states ``x`` of ``p_high`` become, by Heun steps in ``sigma``.

    The levels fall by one factor from step to step.
    """
    steps = ceil(STEPS_PER_OCTAVE * log2(high / low) - 1e-9)
    levels = [high * (low / high) ** (k / steps) for k in range(steps)] + [low]
    for sigma, lower in pairwise(levels):
        slope = -sigma * score(x, sigma)
        end = x + (lower - sigma) * slope
        x = x + (lower - sigma) / 2 * (slope - lower * score(end, lower))
    return x


def from_snapshots(
    score: Score,
    snapshots: Float[Tensor, "m *shape"],
    n: int,
    sigma: float,
    generator: torch.Generator,
) -> Float[Tensor, "n *shape"]:
    """``n`` states of ``p_sigma``, in the shares of the snapshots.

    These are noised at ``sigma``; where they lie farther apart, at as much as moves one beyond the
    next, and descend to ``sigma``. None is taken twice before all are taken once.
    """
    widest = score.levels(sigma)[1]
    apart = spacing(snapshots) / snapshots[0].numel() ** 0.5
    level = min(max(sigma, APART * apart), widest)
    x = snapshots[_in_turn(len(snapshots), n, generator)]
    return descend(score, x + level * _normal(x.shape, generator), level, sigma)


def from_noise(
    score: Score, shape: tuple[int, ...], n: int, sigma: float, generator: torch.Generator
) -> Float[Tensor, "n *shape"]:
    """``n`` states of ``p_sigma`` that ``N(0, 1 + sigma^2)`` at the widest level become."""
    widest = score.levels(sigma)[1]
    x = (1 + widest**2) ** 0.5 * _normal((n, *shape), generator)
    return descend(score, x, widest, sigma)


def corrected_from_noise(
    score: Denoising,
    shape: tuple[int, ...],
    widest: float,
    sigma: float,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> Float[Tensor, "1 *shape"]:
    """A state of ``p_sigma`` from pure noise at the level ``widest``, corrected on the way.

    What the descent has left half made Langevin dynamics mend at levels at which it can still move:
    ``x + dt s + sqrt(2 dt) N(0, I)`` (Song et al. 2021, arXiv 2011.13456, algorithm 1).
    """
    level = widest
    x = (1 + widest**2) ** 0.5 * _normal((1, *shape), generator).to(device)
    for pause in [factor * sigma for factor in CORRECTED_LEVELS if factor * sigma < widest]:
        x, level, dt = descend(score, x, level, pause), pause, STRIDE * pause**2
        for _ in range(CORRECTIONS):
            noise = _normal(x.shape, generator).to(device)
            x = x + dt * score(x, level) + (2 * dt) ** 0.5 * noise
    return descend(score, x, level, sigma)


def clean(score: Score, x: Float[Tensor, "n *shape"], sigma: float) -> Float[Tensor, "n *shape"]:
    """States without noise that states ``x`` of ``p_sigma`` become.

    They descend to the lowest level of the score, where they are denoised.
    """
    lowest = score.levels(sigma)[0]
    return score.denoise(descend(score, x, sigma, lowest), lowest)


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator)


def _in_turn(size: int, n: int, generator: torch.Generator) -> Tensor:
    rounds = [torch.randperm(size, generator=generator) for _ in range(ceil(n / size))]
    return torch.cat(rounds)[:n]
