"""The Gray-Scott simulator beside a plain loop, and what its presets look like.

    python benchmarks/gray_scott.py              # warm-up, throughput, error
    python benchmarks/gray_scott.py --presets    # a table of all presets on two grids

The plain loop is batched float32 on all cores: pad, convolve, clamp, one step at a time. Both are
called in turn, after one call of each; the ratio is the median over repeats.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

from eqflow.systems import GrayScott, Schedule  # noqa: E402
from eqflow.systems.gray_scott import PRESETS, start  # noqa: E402
from eqflow.systems.runs import LOOK  # noqa: E402

FIRST = """
import sys, time, torch
sys.path[0] = sys.argv[1]
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
        command = [sys.executable, "-c", FIRST, str(ROOT)]
        environment = os.environ | {"NUMBA_CACHE_DIR": folder}
        return [float(subprocess.check_output(command, env=environment)) for _ in range(2)]


def plain(system: GrayScott, x: Tensor, steps: int) -> Tensor:
    """What one writes first."""
    feed, kill, du, dv = system.rates
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).expand(2, 1, 3, 3)
    for _ in range(steps):
        padded = functional.pad(x, (1, 1, 1, 1), mode="circular")
        laplacian = functional.conv2d(padded, kernel, groups=2)
        u, v = x[:, :1], x[:, 1:]
        reaction = u * v * v
        du_dt = du * laplacian[:, :1] - reaction + feed * (1 - u)
        dv_dt = dv * laplacian[:, 1:] + reaction - (feed + kill) * v
        x = (x + torch.cat([du_dt, dv_dt], 1)).clamp(0, 1)
    return x


def starts(runs: int, side: int) -> Tensor:
    return torch.stack([start((side, side), 0, number) for number in range(runs)])


def throughput(side: int, runs: int, steps: int, repeats: int) -> None:
    """Microseconds of a step of one run, both ways in turn."""
    system, x = GrayScott(), starts(runs, side)
    system.advance(x, 1000)
    ours, theirs = [], []
    for repeat in range(repeats + 1):
        y = x.clone()
        began = time.perf_counter()
        system.advance(y, 10 * steps)
        middle = time.perf_counter()
        plain(system, x, steps)
        if repeat:
            ours.append((middle - began) / 10)
            theirs.append(time.perf_counter() - middle)
    ratios = [slow / fast for slow, fast in zip(theirs, ours, strict=True)]
    unit = 1e6 / (steps * runs)
    print(
        f"{side}x{side}, {runs} runs: {unit * median(ours):.2f} us a run and step, plain loop "
        f"{unit * median(theirs):.2f}, ratio {median(ratios):.1f} "
        f"[{min(ratios):.1f}, {max(ratios):.1f}]"
    )


def error(side: int, runs: int, steps: int) -> dict[str, float]:
    """Largest difference from a float64 loop after ``steps``, by preset."""
    errors = {}
    for preset in PRESETS:
        system, x = GrayScott(preset), starts(runs, side)
        exact = x.double()
        for _ in range(steps):
            exact += system.velocity(exact)
        system.advance(x, steps)
        errors[preset] = (x - exact).abs().max().item()
    return errors


def lived(system: GrayScott, x: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """States ``steps`` later of the runs that are alive then, and which of the runs these are."""
    numbers = torch.arange(len(x))
    for _ in range(0, steps, LOOK):
        system.advance(x, LOOK)
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


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", action="store_true")
    parser.add_argument("--runs", type=int, default=64)
    parser.add_argument("--settle", type=int, default=10_000)
    parser.add_argument("--grids", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    if not options.presets:
        compiled, found = warm_up()
        print(f"first step of a process: {compiled:.1f} s compiled, {found:.1f} s found on disk")
        for side in options.grids:
            throughput(side, 32, 3_200_000 // (32 * side**2) + 1, options.repeats)
        errors = error(64, 8, 500)
        worst = max(errors, key=lambda preset: errors[preset])
        print(f"error after 500 steps, all presets: at most {errors[worst]:.1e} ({worst})")
        return
    print(
        f"{options.runs} runs, settle {options.settle}; std, E v^2 of u and v; transit time and\n"
        "mean of v after settle, and how they, and the std of v, have changed after twice that\n"
        "preset   grid  died    std u,v    E v_u^2 E v_v^2  transit  later  mean v   drift"
    )
    for preset in PRESETS:
        for side in options.grids:
            print(row(preset, side, options.runs, options.settle), flush=True)


if __name__ == "__main__":
    main()
