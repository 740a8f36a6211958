"""Scores of images: held-out denoising loss, seconds, and direction bias, for each preset.

    python benchmarks/image_score.py                             # conv, four presets
    python benchmarks/image_score.py --score conservative unet --preset waves --steps 1000
    python benchmarks/image_score.py --cost                      # forward pass and training step

256 patterns of 64x64 from random discs, 64 of them held out; an untrained score has a loss of 1.
The bias is how far the score of a moved image is from the moved score, relative to it.
"""

import argparse
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from eqflow.processes import Draws, generator  # noqa: E402
from eqflow.score import ImageScore, build_score  # noqa: E402
from eqflow.score.symmetry import frames  # noqa: E402
from eqflow.snapshots import Snapshots, split  # noqa: E402
from eqflow.systems.gray_scott import PRESETS  # noqa: E402
from eqflow.systems.stencil import advance  # noqa: E402
from eqflow.training import Batch, ImageScoreModule, quiet_trainer, train_loader, val_loader  # noqa: E402

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


def discs(n: int, rng: np.random.Generator) -> np.ndarray:
    """Starts: three to eight discs of the second substance in a sea of the first."""
    x = np.zeros((n, 2, SIDE, SIDE), np.float32)
    x[:, 0] = 1
    grid = np.arange(SIDE)
    for image in x:
        for _ in range(rng.integers(3, 9)):
            dy, dx = ((grid - c + SIDE / 2) % SIDE - SIDE / 2 for c in rng.uniform(0, SIDE, 2))
            inside = dy[:, None] ** 2 + dx**2 < rng.uniform(3, 8) ** 2
            image[:, inside] = [[0.5], [0.25]]
    return x


def patterns(preset: str, n: int, steps: int = 12_000) -> Tensor:
    """``n`` live patterns, one of each run, float64."""
    rng, rates, alive = np.random.default_rng(0), PRESETS[preset], []
    while sum(map(len, alive)) < n:
        x = discs(n, rng)
        for _ in range(steps // 500):
            advance(x, 500, *map(np.float32, rates), np.float32(1))
            x = np.ascontiguousarray(x[x[:, 1].std((1, 2)) > 0.01])
        alive.append(x)
    return torch.from_numpy(np.concatenate(alive)[:n]).double()


def snapshots(preset: str, cache: Path) -> Snapshots:
    """192 images to train and 64 to validate."""
    file = cache / f"{preset}_{SIDE}.npy"
    if not file.is_file():
        np.save(file, patterns(preset, 260).numpy())
    return split(torch.from_numpy(np.load(file)), val=64, test=4)


def train(
    kind: str, data: Snapshots, steps: int, seed: int
) -> tuple[ImageScore, float, float, float]:
    """A trained score, its held-out loss, and the seconds and CPU seconds of the training."""
    score = build_score(shape=data.shape, points=data.train, seed=seed, **SCORES[kind])
    module = ImageScoreModule(score, steps=steps, seed=seed)
    trainer = quiet_trainer(steps, accelerator="cpu", num_sanity_val_steps=0)
    loader = train_loader(data.train, BATCH, steps, seed)
    wall, cpu = time.perf_counter(), time.process_time()
    trainer.fit(module, loader, val_loader(data.val, BATCH))
    spent = time.perf_counter() - wall, time.process_time() - cpu
    return score.eval(), trainer.callback_metrics["score/val_loss"].item(), *spent


@torch.no_grad()
def bias(score: ImageScore, x: Tensor, count: int) -> str:
    """Relative errors under a roll by one pixel and a quarter turn, with ``count`` frames."""
    score.frames = frames(count)
    y = score(x, SIGMA)
    errors = [(score(move(x), SIGMA) - move(y)).norm() / y.norm() for move in MOVES.values()]
    score.frames = []
    return " ".join(f"{error:.4f}" for error in errors)


def milliseconds(function: Callable[[], None], repeats: int = 15) -> float:
    """Median CPU time of a call, after three to warm up."""
    times = []
    for _ in range(3 + repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return 1000 * median(times[3:])


def cost(kind: str, bf16: bool) -> tuple[float, float]:
    """CPU milliseconds of a forward pass and of a training step."""
    x = torch.randn(BATCH, 2, SIDE, SIDE)
    score = build_score(**SCORES[kind], shape=(2, SIDE, SIDE), points=x)
    module = ImageScoreModule(score, bf16=bf16)
    optimizer = module.optimizer(list(module.score.parameters()))

    def forward() -> None:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            score(x, SIGMA)

    def step() -> None:
        optimizer.zero_grad()
        module.loss(Batch(x, BATCH), 0).backward()
        optimizer.step()

    return milliseconds(forward), milliseconds(step)


def costs() -> None:
    """Print what each score costs for a batch, in single precision and in bf16."""
    for kind in SCORES:
        for bf16 in (False, True):
            forward, step = cost(kind, bf16)
            name = f"{kind} {'bf16' if bf16 else 'fp32'}"
            print(f"{name:<18} forward {forward:6.1f} ms, training step {step:6.1f} ms", flush=True)


def losses(options: argparse.Namespace) -> None:
    """Print loss, seconds and bias of each score and preset."""
    options.cache.mkdir(parents=True, exist_ok=True)
    print("score         preset    loss     s   CPU s   bias (roll turn) with 0 | 8 | 16 frames")
    for kind in options.score:
        for preset in options.preset:
            data = snapshots(preset, options.cache)
            score, loss, wall, cpu = train(kind, data, options.steps, options.seed)
            draw = generator(0, Draws.HELD_OUT)
            x = data.val[:16] + SIGMA * torch.randn(data.val[:16].shape, generator=draw)
            biases = " | ".join(bias(score, x, count) for count in (0, 8, 16))
            print(f"{kind:<13} {preset:<9} {loss:.5f} {wall:5.0f} {cpu:5.0f}  {biases}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--score", nargs="+", choices=SCORES, default=["conv"])
    parser.add_argument(
        "--preset", nargs="+", choices=PRESETS, default=["waves", "life", "spirals", "maze"]
    )
    parser.add_argument("--steps", type=int, default=9000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path("outputs") / "patterns")
    parser.add_argument("--cost", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    if options.cost:
        costs()
    else:
        losses(options)


if __name__ == "__main__":
    main()
