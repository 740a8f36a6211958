"""How far a few known velocities decide the dynamics, with the law of the snapshots and without.

    python benchmarks/labels.py
    python benchmarks/labels.py --seeds 0 1 --systems Lorenz --figure docs/labels.png

|cos| to the true velocity at 2,000 clean held-out states against the number of labelled states,
24,000 snapshots, a fresh data set, score and labels a seed. `stream`: flow=stream, exact for the
law at sigma 0.2; `network`: flow=network flow.condition=weak, its condition as a penalty; both at
their defaults. The others know the labels alone: `rbf`, scipy's RBFInterpolator (thin plates; the
nearest label below four), `quadratic`, least squares of degree 2, of least norm where labels are
few. Median and range over seeds; `--jsonl` keeps the rows, and goes on from them.
"""

import argparse
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

import numpy as np  # noqa: E402
import torch  # noqa: E402
from scipy.interpolate import RBFInterpolator  # noqa: E402
from torch import Tensor  # noqa: E402

from data_modules import Dysts, Lorenz  # noqa: E402
from eqflow.fields import build_field  # noqa: E402
from eqflow.labels import Labels  # noqa: E402
from eqflow.report.style import COLOURS, STYLE, sheet  # noqa: E402
from eqflow.score import Score, TrainedScore, build_score  # noqa: E402
from eqflow.training import (  # noqa: E402
    StageModule,
    flow_module,
    noised_batches,
    quiet_trainer,
    score_module,
    train_loader,
)

STATES, SIGMA, BATCH = 24_000, 0.2, 512
COUNTS = (1, 3, 10, 30, 100)


class Case:
    """A system's snapshots of one seed, and its score once it is asked for."""

    def __init__(self, system: str, seed: int) -> None:
        options = {"n": STATES, "seed": seed, "labels": max(COUNTS)}
        data = Lorenz(**options) if system == "Lorenz" else Dysts(system, **options)
        data.setup()
        self.seed, self.snapshots = seed, data.snapshots
        assert self.snapshots.velocity is not None
        self.test, self.truth = data.snapshots.test, self.snapshots.velocity(data.snapshots.test)

    def labels(self, count: int) -> Labels:
        assert self.snapshots.labels is not None
        x, v = self.snapshots.labels
        return Labels(x[:count], v[:count])

    @cached_property
    def score(self) -> Score:
        train = self.snapshots.train
        score = build_score("mlp", self.snapshots.shape, train, self.seed)
        assert isinstance(score, TrainedScore)
        self.fit(score_module(score, seed=self.seed))
        return score.requires_grad_(False)

    def fit(self, module: StageModule) -> None:
        trainer = quiet_trainer(module.steps, accelerator="cpu")
        trainer.fit(module, train_loader(self.snapshots.train, BATCH, 500, self.seed))

    def trained(self, family: str, labels: Labels, **options: str) -> Tensor:
        """Velocities of a field at the held-out states."""
        train = self.snapshots.train
        score = self.score if family == "stream" else Score()
        field = build_field(family, self.snapshots.shape, score, SIGMA, self.seed)
        module = flow_module(field, score, train, labels=labels, seed=self.seed, **options)
        assert module is not None
        self.fit(module)
        noise = SIGMA if family == "stream" else 0.0
        return field.requires_grad_(False).normalise_(noised_batches(train, noise))(self.test)


def stream(case: Case, labels: Labels) -> Tensor:
    return case.trained("stream", labels)


def network(case: Case, labels: Labels) -> Tensor:
    return case.trained("network", labels, condition="weak")


def rbf(case: Case, labels: Labels) -> Tensor:
    x, v = labels.x.double().numpy(), labels.v.double().numpy()
    enough = len(x) > x.shape[1]  # for the linear part of thin plates
    kernel = {} if enough else {"kernel": "linear", "degree": 0}
    if len(x) == 1:
        return labels.v.expand_as(case.truth)
    return torch.from_numpy(RBFInterpolator(x, v, **kernel)(case.test.double().numpy()))


def quadratic(case: Case, labels: Labels) -> Tensor:
    def terms(x: Tensor) -> np.ndarray:
        first, second = torch.triu_indices(x.shape[1], x.shape[1])
        columns = (torch.ones_like(x[:, :1]), x, x[:, first] * x[:, second])
        return torch.cat(columns, 1).double().numpy()

    law = np.linalg.lstsq(terms(labels.x), labels.v.double().numpy(), rcond=None)[0]
    return torch.from_numpy(terms(case.test) @ law)


METHODS: dict[str, Callable[[Case, Labels], Tensor]] = {
    "stream": stream,
    "network": network,
    "rbf": rbf,
    "quadratic": quadratic,
}


def rows(case: Case, system: str, counts: list[int]) -> list[dict]:
    found = []
    for count in counts:
        for name, method in METHODS.items():
            started = time.process_time()
            v = method(case, case.labels(count)).detach().to(case.truth)
            cosine = abs((v * case.truth).sum() / (v.norm() * case.truth.norm())).item()
            seconds = time.process_time() - started
            row = {"system": system, "seed": case.seed, "labels": count, "method": name}
            found.append(row | {"cos": cosine, "seconds": seconds})
            print(f"{system:>8} {case.seed:4} {count:5} {name:>10} {cosine:7.3f} {seconds:6.1f} s")
            sys.stdout.flush()
    return found


def cosines(found: list[dict], system: str, method: str, count: int) -> list[float]:
    wanted = (system, method, count)
    return [r["cos"] for r in found if (r["system"], r["method"], r["labels"]) == wanted]


def table(found: list[dict], systems: list[str], counts: list[int]) -> None:
    for system in systems:
        print(f"\n{system}: median (range)")
        print(f"{'labels':>10}" + "".join(f"{count:>20}" for count in counts))
        for method in METHODS:
            cells = [cosines(found, system, method, count) for count in counts]
            texts = [f"{median(c):.3f} ({min(c):.2f}-{max(c):.2f})" for c in cells]
            print(f"{method:>10}" + "".join(f"{text:>20}" for text in texts))


def figure(found: list[dict], systems: list[str], counts: list[int], path: Path) -> None:
    """Curves of the medians with the range over seeds."""
    import matplotlib as mpl

    colours = {"rbf": COLOURS["random"], "quadratic": COLOURS["library"]}
    with mpl.rc_context(STYLE):
        page = sheet(3.6 * len(systems) + 0.4, 3.2)
        for axes, system in zip(
            page.subplots(1, len(systems), squeeze=False)[0], systems, strict=True
        ):
            for method in METHODS:
                cells = [cosines(found, system, method, count) for count in counts]
                colour = colours.get(method) or COLOURS[method]
                axes.plot(counts, [median(c) for c in cells], "o-", color=colour, label=method)
                low, high = [min(c) for c in cells], [max(c) for c in cells]
                axes.fill_between(counts, low, high, color=colour, alpha=0.15, lw=0)
            axes.set(xscale="log", ylim=(0, 1.02), title=system, xlabel="labelled states")
            axes.set_xticks(counts, [f"{count}" for count in counts])
            axes.set_ylabel("|cos| to the true velocity")
        axes.legend()
        page.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--systems", nargs="+", default=["Lorenz", "Thomas"])
    parser.add_argument("--labels", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--jsonl", type=Path, help="rows are added to it")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    path, found = arguments.jsonl, []
    if path and path.is_file():
        found = [json.loads(line) for line in path.read_text().splitlines()]
    done = {(row["system"], row["seed"]) for row in found}
    for system in arguments.systems:
        for seed in arguments.seeds:
            if (system, seed) not in done:
                new = rows(Case(system, seed), system, arguments.labels)
                found += new
                if path:
                    with path.open("a") as file:
                        file.writelines(json.dumps(row) + "\n" for row in new)
    table(found, arguments.systems, arguments.labels)
    if arguments.figure:
        figure(found, arguments.systems, arguments.labels, arguments.figure)


if __name__ == "__main__":
    main()
