"""Scores of images: held-out denoising loss, seconds, and direction bias, for each preset.

    python benchmarks/image_score.py                             # conv, four presets
    python benchmarks/image_score.py --score conservative unet --preset waves --steps 1000
    python benchmarks/image_score.py --cost                      # forward pass and training step

256 patterns of 64x64 of `data=gray_scott`, kept in the folder `--cache`, 64 of them held out; an
untrained score has a loss of 1. The bias is how far the score of a moved image is from the moved
score, relative to it.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median

import harness
import torch
from torch import Tensor

from data_modules import GrayScott
from eqflow.data import Snapshots
from eqflow.runtime import Draws, generator
from eqflow.score import ImageScore, build_score, frames
from eqflow.systems import PRESETS
from eqflow.training import Batch, ImageScoreModule, quiet_trainer, train_loader, val_loader

SIGMA, SIDE, BATCH = 0.24, 64, 4
SCORES = {
    "conv": {"name": "conv"},
    "conservative": {"name": "conv", "conservative": True},
    "unet": {"name": "unet"},
}
MOVES: dict[str, Callable[[Tensor], Tensor]] = {
    "roll": lambda x: x.roll(1, -1),
    "turn": lambda x: x.rot90(1, (-2, -1)),
}


def train(
    kind: str, data: Snapshots, steps: int, seed: int
) -> tuple[ImageScore, float, float, float]:
    """A trained score, its held-out loss, and the seconds and CPU seconds of the training."""
    score = build_score(shape=data.shape, points=data.train, seed=seed, **SCORES[kind])
    trainer = quiet_trainer(steps, accelerator="cpu", num_sanity_val_steps=0)
    module = ImageScoreModule(score, steps=steps, seed=seed)
    loaders = train_loader(data.train, BATCH, steps, seed), val_loader(data.val, BATCH)
    fit = partial(harness.timed, partial(trainer.fit, module, *loaders))  # by CPU time
    (_, cpu), wall = harness.timed(fit, time.perf_counter)
    return score.eval(), trainer.callback_metrics["score/val_loss"].item(), wall, cpu


@torch.no_grad()
def bias(score: ImageScore, x: Tensor, count: int) -> str:
    """Relative errors under a roll by one pixel and a quarter turn, with ``count`` frames."""
    score.frames = frames(count)
    y = score(x, SIGMA)
    errors = [(score(move(x), SIGMA) - move(y)).norm() / y.norm() for move in MOVES.values()]
    score.frames = []
    return " ".join(f"{error:.4f}" for error in errors)


def milliseconds(call: Callable[[], None], repeats: int = 15) -> float:
    """Median CPU time of a call, after three to warm up."""
    times = [harness.timed(call)[1] for _ in range(3 + repeats)]
    return 1000 * median(times[3:])


def cost(kind: str, bf16: bool) -> tuple[float, float]:
    """CPU milliseconds of a forward pass and of a training step."""
    x = torch.randn(BATCH, 2, SIDE, SIDE)
    score = build_score(**SCORES[kind], shape=(2, SIDE, SIDE), points=x)
    step = partial(harness.Loop(ImageScoreModule(score, bf16=bf16)), Batch(x, BATCH))

    def forward() -> None:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            score(x, SIGMA)

    return milliseconds(forward), milliseconds(step)


def costs() -> None:
    """Print what each score costs for a batch, in single precision and in bf16."""
    for kind, bf16 in product(SCORES, (False, True)):
        forward, step = cost(kind, bf16)
        name = f"{kind} {'bf16' if bf16 else 'fp32'}"
        print(f"{name:<18} forward {forward:6.1f} ms, training step {step:6.1f} ms", flush=True)


def losses(kinds: list[str], presets: list[str], steps: int, seed: int, cache: Path) -> None:
    """Print loss, seconds and bias of each score and preset."""
    print("score         preset    loss     s   CPU s   bias (roll turn) with 0 | 8 | 16 frames")
    for kind, preset in product(kinds, presets):
        data = harness.prepared(
            GrayScott(preset, SIDE, n=192, val=64, test=4, cache_dir=str(cache))
        )
        score, loss, wall, cpu = train(kind, data, steps, seed)
        draw = generator(0, Draws.HELD_OUT)
        x = data.val[:16] + SIGMA * torch.randn(data.val[:16].shape, generator=draw)
        biases = " | ".join(bias(score, x, count) for count in (0, 8, 16))
        print(f"{kind:<13} {preset:<9} {loss:.5f} {wall:5.0f} {cpu:5.0f}  {biases}", flush=True)


if __name__ == "__main__":
    scores = harness.Names(SCORES, ["conv"])
    presets = harness.Names(PRESETS, ["waves", "life", "spirals", "maze"])
    training = {"steps": 9000, "seed": 0, "threads": 2, "cache": Path("outputs/.cache")}
    asked = harness.options(__doc__, score=scores, preset=presets, cost=False, **training)
    if asked.cost:
        costs()
    else:
        losses(asked.score, asked.preset, asked.steps, asked.seed, asked.cache)
