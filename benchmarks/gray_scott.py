"""The Gray-Scott simulator beside a plain loop, and what its presets look like.

    python benchmarks/gray_scott.py              # warm-up, throughput, error
    python benchmarks/gray_scott.py --presets    # a table of all presets on two grids

The plain loops are batched float32 on all cores, one step at a time, with a clamp: they pad and
convolve, each channel by itself or both at once, or roll. All are called in turn, after one call of
each, on settled states; ratios are medians over repeats.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

from eqflow.systems import GrayScott, Schedule  # noqa: E402
from eqflow.systems.gray_scott import PRESETS, initial_state  # noqa: E402
from eqflow.systems.runs import CHECK_INTERVAL  # noqa: E402
from eqflow.terms import laplacian  # noqa: E402

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
    """Microseconds of a step of one run, both ways in turn."""
    system, x = GrayScott(), starts(runs, side)
    system.advance(x, 5000)
    ways = {name: partial(plain, system, laplacian=way) for name, way in LAPLACIANS.items()}
    ways["ours"] = system.advance
    shares = {name: 10 if name == "ours" else 1 for name in ways}
    laps = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            y, began = x.clone(), time.perf_counter()
            way(y, steps * shares[name])
            laps[name].append((time.perf_counter() - began) / shares[name])
    unit = 1e6 / (steps * runs)
    print(f"{side}x{side}, {runs} runs, microseconds of a step of one run:")
    for name, times in laps.items():
        ratios = [t / ours for t, ours in zip(times[1:], laps["ours"][1:], strict=True)]
        print(
            f"  {name:21}{unit * median(times[1:]):7.2f}, ratio {median(ratios):5.1f} "
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
        print("error after 500 steps: ", ", ".join(f"{p} {e:.1e}" for p, e in errors.items()))
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
