"""What benchmarks share: options, the training of fields, timing in turn, tables, kept rows.

Import this module before torch, as the sorting of imports does: OpenMP reads once how idle threads
wait, and here they sleep, as in the command line of eqflow.
"""

import json
import os
import subprocess
import sys
import time
import warnings
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor

from data_modules import SnapshotsModule
from eqflow.data import Snapshots
from eqflow.errors import InputError
from eqflow.fields import VelocityField
from eqflow.metrics import Cosine
from eqflow.runtime import write_json
from eqflow.score import Score, build_score
from eqflow.training import (
    Batch,
    StageModule,
    flow_module,
    noised_batches,
    quiet_trainer,
    score_module,
    train_loader,
)

ROOT = Path(__file__).resolve().parents[1]

BATCH = 512
"""Snapshots of a training step."""

# options


class Names(NamedTuple):
    """An option that takes several of the names ``known``, all of them by default."""

    known: Iterable[str]
    default: Sequence[str] = ()


def options(doc: str | None, **defaults: Any) -> Namespace:
    """Options of the command line, ``--batch-sizes`` for ``batch_sizes``; ``doc`` is their help.

    The type of an option is that of its default, a list takes several values, ``False`` is a
    switch. A type in the place of a value means that there is no default. Sets the threads of
    torch, one without the option ``threads``, and silences Lightning.
    """
    parser = ArgumentParser(description=doc, formatter_class=RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **_kind(default))
    chosen = parser.parse_args()
    torch.set_num_threads(getattr(chosen, "threads", 1))
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    return chosen


def _kind(default: Any) -> dict[str, Any]:
    if default is False:
        return {"action": "store_true"}
    if isinstance(default, type):
        return {"type": default}
    if isinstance(default, Names):
        known = list(default.known)
        return {"nargs": "+", "choices": known, "default": default.default or known}
    if isinstance(default, list):
        own = {} if isinstance(default[0], type) else {"default": default}
        return _kind(default[0]) | {"nargs": "+"} | own
    return {"type": type(default), "default": default}


# data and training


def prepared(data: SnapshotsModule) -> Snapshots:
    """The snapshots of a data set, split and standardised."""
    data.setup()
    return data.snapshots


class Loop:
    """Training of a module as a bare loop: one step a call, without a Trainer."""

    def __init__(self, module: StageModule) -> None:
        self.module, self.step = module, 0
        configured = module.configure_optimizers()
        self.optimizer = configured["optimizer"]
        self.schedule = configured["lr_scheduler"]["scheduler"]

    def __call__(self, batch: Batch) -> None:
        self.optimizer.zero_grad()
        self.module.loss(batch, self.step).backward()
        self.optimizer.step()
        self.schedule.step()
        self.step += 1


def fit(module: StageModule, states: Tensor, seed: int = 0, batch_size: int = BATCH) -> StageModule:
    """Train a module for all of its steps on one CPU."""
    trainer = quiet_trainer(module.steps, accelerator="cpu")
    trainer.fit(module, train_loader(states, batch_size, 500, seed))
    return module


def trained_score(states: Tensor, seed: int = 0, **training: Any) -> Score:
    """The default score network of ``states``, trained and frozen."""
    score = build_score("mlp", states.shape[1:], states, seed)
    fit(score_module(score, seed=seed, **training), states, seed)
    return score.requires_grad_(False)


def trained_field(
    field: VelocityField, score: Score, states: Tensor, seed: int = 0, **training: Any
) -> VelocityField:
    """Train a field by the options of ``flow_module`` and normalise it, the weak form at 0."""
    if module := flow_module(field, score, states, seed=seed, **training):
        fit(module, states, seed)
    sigma = 0.0 if training.get("condition") == "weak" else training.get("sigma", 0.2)
    return normalised(field, states, sigma)


def normalised(field: VelocityField, states: Tensor, sigma: float) -> VelocityField:
    """Freeze a field, its speed that at ``states`` noised at ``sigma``."""
    return field.requires_grad_(False).normalise_(noised_batches(states, sigma))


def cosine(v: Tensor, w: Tensor) -> float:
    """Signed cosine of two fields by their values at the same states."""
    metric = Cosine()
    metric.update(v, w)
    return metric.compute().item()


# timing and processes


def timed(call: Callable[[], Any], clock: Callable = time.process_time) -> tuple[Any, float]:
    """What a call returns, and the seconds that it took: of the CPU by default."""
    started = clock()
    return call(), clock() - started


def lap(call: Callable[[], Any], calls: int = 1) -> float:
    """Mean wall seconds of ``calls`` calls."""
    started = time.perf_counter()
    for _ in range(calls):
        call()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / calls


def in_turn(
    ways: Sequence[Callable[[], Any]], repeats: int, calls: Iterable[int] = repeat(1)
) -> list[tuple[float, ...]]:
    """Mean wall seconds of each way, one repeat after the other, to compare like with like.

    A first repeat is dropped: in it memory is allocated and code compiled.
    """
    laps = [tuple(map(lap, ways, calls)) for _ in range(repeats + 1)]
    return laps[1:]


def processes(count: int, **options: Any) -> ProcessPoolExecutor:
    """A pool of new processes, which share nothing with this one."""
    return ProcessPoolExecutor(count, get_context("spawn"), **options)


QUIET = ["callbacks.progress=null", "+trainer.enable_progress_bar=false"]
"""Overrides of a run without progress bars."""


def command_line(*overrides: str) -> subprocess.Popen:
    """Start eqflow's command line in a process group of its own, its output dropped."""
    command = [sys.executable, str(ROOT / "run.py"), *overrides]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)


# tables


def spread(values: Sequence[float], form: str = ".2f", width: int = 0) -> str:
    """Median, of a least width, and range of several values."""
    ends = f" [{min(values):{form}}, {max(values):{form}}]" if len(values) > 1 else ""
    return f"{median(values):{width or ''}{form}}{ends}"


def row(*cells: Any) -> None:
    """Print a row of a table in Markdown."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def heading(*names: str) -> None:
    """Print the head of a table in Markdown."""
    row(*names)
    print("|---" * len(names) + "|")


# rows on disk


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """The row in ``path``, made and written if it is not there; None where it cannot be made."""
    if not path.is_file():
        try:
            write_json(path, make())
        except (InputError, RuntimeError) as error:
            print(f"{path.stem}: {error}", flush=True)
            return None
    return json.loads(path.read_text())


def read_rows(path: Path | None) -> list[dict[str, Any]]:
    """The rows in a file of JSON lines; none if there is no file."""
    lines = path.read_text().splitlines() if path and path.is_file() else []
    return [json.loads(line) for line in lines]


def append_rows(path: Path | None, rows: Iterable[dict[str, Any]]) -> None:
    """Add rows to a file of JSON lines, if one is asked for."""
    if path:
        with path.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
