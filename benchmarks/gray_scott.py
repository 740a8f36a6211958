"""The Gray-Scott simulator beside a plain loop, and what its presets look like.

    python benchmarks/gray_scott.py              # warm-up, throughput, error
    python benchmarks/gray_scott.py --presets    # a table of all presets on two grids

The plain loops are batched float32 on all cores, one step at a time, with a clamp: they pad and
convolve, each channel by itself or both at once, or roll. All are called in turn, after one call of
each, on settled states; ratios are medians over `--repeats`. The table has `--runs` of each preset
and of `--grids`, looked at after `--settle` units of time and after twice that.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from statistics import median
from tempfile import TemporaryDirectory

import harness
import torch
from torch import Tensor
from torch.nn import functional

from eqflow.systems import CHECK_INTERVAL, PRESETS, GrayScott, Schedule, initial_state
from eqflow.terms import laplacian

FIRST = """
import time, torch
from eqflow.systems import GrayScott
x = torch.ones(1, 2, 8, 8)
started = time.perf_counter()
GrayScott().advance(x, 1)
print(time.perf_counter() - started)
"""
"""Seconds of the first step of a process."""


def warm_up() -> list[float]:
    """Seconds of the first step: compiled, and found on disk."""
    with TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": folder}
        first = partial(subprocess.check_output, [sys.executable, "-c", FIRST], env=environment)
        return [float(first()) for _ in range(2)]


KERNEL = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])


def convolved(x: Tensor, weight: Tensor, groups: int) -> Tensor:
    padded = functional.pad(x, (1, 1, 1, 1), mode="circular")
    return functional.conv2d(padded, weight, groups=groups)


LAPLACIANS = {
    "convolved by channel": lambda x: convolved(x, KERNEL.expand(2, 1, 3, 3), 2),
    "convolved": lambda x: convolved(x, torch.eye(2)[:, :, None, None] * KERNEL, 1),
    "rolled": laplacian,
}
"""What one writes first, and next."""


def plain(system: GrayScott, x: Tensor, steps: int, laplacian: Callable[[Tensor], Tensor]) -> None:
    """Steps of a plain loop."""
    feed, kill, du, dv = system.rates
    for _ in range(steps):
        (u, v), (lap_u, lap_v) = x.split(1, 1), laplacian(x).split(1, 1)
        reaction = u * v * v
        du_dt = du * lap_u - reaction + feed * (1 - u)
        dv_dt = dv * lap_v + reaction - (feed + kill) * v
        x = (x + torch.cat([du_dt, dv_dt], 1)).clamp(0, 1)


def starts(runs: int, side: int) -> Tensor:
    return torch.stack([initial_state((side, side), 0, number) for number in range(runs)])


def throughput(side: int, runs: int, steps: int, repeats: int) -> None:
    """Microseconds of a step of one run, all ways in turn."""
    system, x = GrayScott(), starts(runs, side)
    system.advance(x, 5000)
    ways = {name: partial(plain, system, x, steps, way) for name, way in LAPLACIANS.items()}
    ways["ours"] = lambda: system.advance(x.clone(), 10 * steps)
    laps = [(*plain, ours / 10) for *plain, ours in harness.in_turn([*ways.values()], repeats)]
    print(f"{side}x{side}, {runs} runs, microseconds of a step of one run:")
    for name, times in zip(ways, zip(*laps, strict=True), strict=True):
        ratios = [t / ours for t, (*_, ours) in zip(times, laps, strict=True)]
        time = 1e6 / (steps * runs) * median(times)
        print(f"  {name:21}{time:7.2f}, ratio {harness.spread(ratios, '.1f', 5)}")


def error(preset: str, side: int, runs: int, steps: int) -> float:
    """Largest difference from a float64 loop after ``steps``."""
    system, x = GrayScott(preset), starts(runs, side)
    exact = x.double()
    for _ in range(steps):
        exact += system.velocity(exact)
    system.advance(x, steps)
    return (x - exact).abs().max().item()


def lived(system: GrayScott, x: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """States ``steps`` later of the runs that are alive then, and which of the runs these are."""
    numbers = torch.arange(len(x))
    for _ in range(0, steps, CHECK_INTERVAL):
        system.advance(x, CHECK_INTERVAL)
        living = system.lives(x)
        x, numbers = x[living], numbers[living]
    return x, numbers


def transit(system: GrayScott, x: Tensor) -> tuple[Tensor, float]:
    """Mean squared rate of each channel, and the transit time in standardised units."""
    rate = system.velocity(x.double()).square().mean((0, 2, 3))
    return rate, (rate / x.double().var((0, 2, 3))).mean().rsqrt().item()


def row(preset: str, side: int, runs: int, settle: int) -> str:
    """One line of the table."""
    system = GrayScott(preset)
    x = system.runs(0, (side, side), Schedule(settle)).kept(range(runs)).flatten(0, 1)
    name = f"{preset:9}{side:4}  {1 - len(x) / runs:5.0%}"
    if len(x) < 2:
        return name
    later, numbers = lived(system, x.clone(), settle)
    std, (rate, time_scale) = x.std((0, 2, 3)), transit(system, x)
    line = f"{name}  {std[0]:.3f} {std[1]:.3f}  {rate[0]:.1e} {rate[1]:.1e} {time_scale:7.0f}"
    if len(later) < 2:
        return line
    mean, later_mean = (y[:, 1].mean((1, 2)) for y in (x[numbers], later))
    moved = later_mean - mean
    return (
        f"{line} {transit(system, later)[1]:7.0f}  {mean.mean():.4f} {moved.mean():+.4f} +- "
        f"{moved.std() / len(moved) ** 0.5:.4f}  {later.std((0, 2, 3))[1] / std[1] - 1:+.1%}"
    )


def speed(grids: list[int], repeats: int) -> None:
    """Print what a first step takes, the throughput and the error."""
    compiled, cached = warm_up()
    print(f"first step of a process: {compiled:.1f} s compiled, {cached:.1f} s found on disk")
    for side in grids:
        throughput(side, 32, 3_200_000 // (32 * side**2) + 1, repeats)
    errors = (f"{preset} {error(preset, 64, 8, 500):.1e}" for preset in PRESETS)
    print("error after 500 steps: ", ", ".join(errors))


def presets(grids: list[int], runs: int, settle: int) -> None:
    """Print a row a preset and grid."""
    print(
        f"{runs} runs, settle {settle}; std, E v^2 of u and v; transit time and\n"
        "mean of v after settle, and how they, and the std of v, have changed after twice that\n"
        "preset   grid  died    std u,v    E v_u^2 E v_v^2  transit  later  mean v   drift"
    )
    for preset, side in product(PRESETS, grids):
        print(row(preset, side, runs, settle), flush=True)


if __name__ == "__main__":
    table = {"presets": False, "runs": 64, "settle": 10_000, "grids": [64, 128]}
    asked = harness.options(__doc__, **table, repeats=7, threads=os.cpu_count())
    if asked.presets:
        presets(asked.grids, asked.runs, asked.settle)
    else:
        speed(asked.grids, asked.repeats)
