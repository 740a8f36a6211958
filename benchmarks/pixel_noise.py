"""Pixel noise of patterns: how large it is seen, and what it does to their equations.

    python benchmarks/pixel_noise.py          # noise that is read where so much was added
    python benchmarks/pixel_noise.py --fit    # cosines of the equations to the truth, verdicts

`--images` of each of `--presets`, one a run, Euler steps of .25, on 64 x 64 (life and spirals on
128 x 128), with Gaussian noise of each of `--sizes` in every channel, as a share of its std.
Cosines are those of the velocities at the images without noise, of both channels together and of
each.
"""

from collections.abc import Iterator

import harness
import torch
from torch import Tensor

from eqflow.data import Standardiser
from eqflow.estimator import EquilibriumFlow
from eqflow.stationarity.images.noise import pixel_noise
from eqflow.systems import PRESETS, GrayScott, Schedule

SIDES = {"life": 128, "spirals": 128}


def patterns(preset: str, images: int, seed: int) -> Tensor:
    side = SIDES.get(preset, 64)
    return GrayScott(preset).sample(images, seed, (side, side), Schedule(dt=0.25)).states


def noised(x: Tensor, sizes: list[float], seed: int) -> Iterator[tuple[float, Tensor]]:
    """The images with the same noise in every size."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed + 1))
    for size in sizes:
        yield size, x + size * x.std((0, 2, 3), keepdim=True) * noise


def sizes_read(presets: list[str], sizes: list[float], images: int, seed: int) -> None:
    """A row a preset, a column a size; u and v."""
    harness.heading("pattern", *(f"{size:.3%}" for size in sizes))
    for preset in presets:
        noisy = noised(patterns(preset, images, seed), sizes, seed)
        read = [pixel_noise(Standardiser.of(y).standard(y)).tolist() for _, y in noisy]
        harness.row(preset, *(f"{u:.3%}, {v:.3%}" for u, v in read))


def equations(presets: list[str], sizes: list[float], images: int, seed: int) -> None:
    """A row a preset and size."""
    harness.heading("pattern", "noise", "cosine", "u", "v", "terms", "p", "verdict")
    for preset in presets:
        x = patterns(preset, images, seed)
        for size, y in noised(x, sizes, seed):
            flow = EquilibriumFlow("library").fit(y)
            found, terms = flow.stationarity(), len(flow.equations().rows())
            cosines = (f"{cosine:.4f}" for cosine in alignment(flow, GrayScott(preset), x))
            said = found.reason or "determined"
            harness.row(preset, f"{size:.3%}", *cosines, terms, f"{found.p_value:.2g}", said)


def alignment(flow: EquilibriumFlow, system: GrayScott, x: Tensor) -> list[float]:
    std = x.std((0, 2, 3), keepdim=True)
    v, w = (rate.double() / std for rate in (flow.velocity(x), system.velocity(x)))
    pairs = [(v, w), *zip(v.unbind(1), w.unbind(1), strict=True)]
    return [harness.cosine(*pair) for pair in pairs]


if __name__ == "__main__":
    known = harness.Names(PRESETS, ("waves", "spirals", "life", "maze", "chaos"))
    sizes = [0.0, 0.0005, 0.001, 0.0025, 0.01, 0.02, 0.05]
    asked = harness.options(__doc__, presets=known, sizes=sizes, images=128, fit=False, seed=0)
    table = equations if asked.fit else sizes_read
    table(asked.presets, asked.sizes, asked.images, asked.seed)
