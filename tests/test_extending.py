"""Each row of the README's "Where things are", followed with a toy from outside the package."""

import sys
from types import ModuleType

import pytest
import pytorch_lightning as pl
import sympy
import torch
from runs import TINY, call, metrics
from torchmetrics import Metric

from data_modules import SyntheticModule
from eqflow import EquilibriumFlow
from eqflow.evaluation import FURTHER_MEASURES
from eqflow.fields import FAMILIES, Family, VelocityField
from eqflow.fields.library import TERM_KINDS
from eqflow.report import gallery, verdict
from eqflow.report.style import new_figure
from eqflow.score import Score
from eqflow.score.families import SCORES
from eqflow.simulate import Integrator
from eqflow.systems import Sample
from eqflow.terms import Terms


class Ellipse(SyntheticModule):
    """States of a normal distribution in the plane."""

    shape = (2,)

    def sample(self, n):
        draw = torch.Generator().manual_seed(self.seed)
        return Sample(torch.randn(n, 2, generator=draw) * torch.tensor([2.0, 1.0]))


class Turning(VelocityField):
    """The rotation ``(-y, x)`` of the plane."""

    def unscaled(self, x):
        return torch.stack([-x[:, 1], x[:, 0]], 1)


class NormalScore(Score):
    """The score of a standard normal distribution."""

    def __init__(self, shape):
        super().__init__()

    def forward(self, x, sigma):
        return -x / (1 + sigma**2)


class Midpoint(Integrator):
    """Ten midpoint steps between output times; it has no ``dt``."""

    def __call__(self, velocity, x0, times, score=None, noise=None):
        states = [x0]
        for h in times.diff() / 10:
            x = states[-1]
            for _ in range(10):
                x = x + h * velocity(x + h / 2 * velocity(x))
            states.append(x)
        return torch.stack(states)


class MeanSpeed(Metric):
    """``E |v|`` over states."""

    def __init__(self):
        super().__init__()
        self.add_state("total", torch.zeros(2), dist_reduce_fx="sum")

    def update(self, v):
        self.total += torch.stack([v.norm(dim=1).sum(), torch.tensor(float(len(v)))])

    def compute(self):
        return self.total[0] / self.total[1]


def mean_speed(field, score, reference, integrator):
    metric = MeanSpeed()
    metric.update(field(reference.initial))
    return {"toy/mean_speed": metric.compute().item()}


def speeds(run, display):
    """Histogram of the speeds of the run's own field."""
    figure = new_figure(3, 2)
    v = run[0].field(display.reference(run[0].sigma).initial)
    figure.add_subplot().hist(v.norm(dim=1).numpy())
    return figure


class Counting(pl.Callback):
    """Counts the steps of all trainings."""

    steps = 0

    def on_train_batch_end(self, *_):
        Counting.steps += 1


class Gaussians(Terms):
    """``exp(-x_j^2 / width^2)`` for every variable."""

    def __init__(self, dim, width):
        super().__init__(dim, dim)
        self.width = width

    def __call__(self, x):
        return torch.exp(-((x / self.width) ** 2))

    def expressions(self, symbols):
        return [sympy.exp(-((symbol / self.width) ** 2)) for symbol in symbols]


LOADER = "seed: ${seed}\nbatch_size: ${batch_size}\nepoch_steps: ${epoch_steps}\n"
FILES = {
    "data/ellipse.yaml": f"_target_: toys.Ellipse\nn: 300\nval: 20\ntest: 200\n{LOADER}",
    "score/normal.yaml": "name: normal\n",
    "flow/turning.yaml": "family: turning\nsigma: 0.2\nfield: {}\n",
    "integrator/midpoint.yaml": "_target_: toys.Midpoint\n",
    "callbacks/counting.yaml": "defaults: [default]\ncounting: {_target_: toys.Counting}\n",
    "experiment/toy.yaml": "# @package _global_\ndefaults: [override /data: ellipse]\n"
    "nulls: [turning, minus_x]\n",
}


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """A module and a folder of choices of the user's own; the option that names the folder."""
    module = ModuleType("toys")
    for toy in (Ellipse, Midpoint, Counting):
        setattr(module, toy.__name__, toy)
    monkeypatch.setitem(sys.modules, "toys", module)
    monkeypatch.setitem(FAMILIES, "turning", Family("turning", lambda shape, *_: Turning(shape)))
    monkeypatch.setitem(SCORES, "normal", NormalScore)
    for name, text in FILES.items():
        (tmp_path / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / name).write_text(text)
    return f"--config-dir={tmp_path / 'conf'}"


def test_toys_of_every_kind_run_and_the_report_renders(tmp_path, monkeypatch, toys):
    FURTHER_MEASURES.append(mean_speed)
    monkeypatch.setitem(verdict.TABLE_COLUMNS, "mean speed", "toy/mean_speed")
    monkeypatch.setitem(gallery.FURTHER_FIGURES, "speeds", speeds)
    chosen = ["score=normal", "flow=turning", "integrator=midpoint", "callbacks=counting"]
    folder = tmp_path / "run"
    options = [o for o in TINY if ".steps=" not in o and not o.startswith(("experiment", "nulls"))]
    try:
        code = call(
            monkeypatch,
            toys,
            "experiment=toy",
            *chosen,
            *options,
            "logger=none",
            f"run_dir={folder}",
            f"cache_dir={tmp_path / 'cache'}",
        )
    finally:
        FURTHER_MEASURES.remove(mean_speed)
    assert code == 0
    numbers, page = metrics(folder), (folder / "report.html").read_text(encoding="utf-8")
    assert (
        abs(numbers["preservation/mmd2_ratio"])
        < 3
        < numbers["null/minus_x/preservation/mmd2_ratio"]
    )
    assert numbers["toy/mean_speed"] > 0.5
    for text in ("turning", "Midpoint", "mean speed", "Histogram of the speeds of the run"):
        assert text in page
    assert (folder / "figures" / "speeds.png").stat().st_size


def test_a_callback_of_the_users_own_watches_a_training(tmp_path, monkeypatch, toys):
    before = Counting.steps
    small = [o for o in TINY if not o.startswith("experiment")]
    places = [f"run_dir={tmp_path / 'run'}", f"cache_dir={tmp_path / 'cache'}"]
    stages = ["stages=[score,flow]", "logger=none", "callbacks=counting"]
    assert call(monkeypatch, toys, "experiment=ring", *small, *stages, *places) == 0
    assert Counting.steps == before + 12  # score, network and the exact field


def test_a_kind_of_term_of_the_users_own_is_found(monkeypatch):
    monkeypatch.setitem(TERM_KINDS, "gaussians", Gaussians)
    x = torch.randn(600, 2, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    flow = EquilibriumFlow("library", field={"degree": 1, "gaussians": 1.5})
    flow.fit(x)
    assert any("exp" in term for term in flow.model.field.terms.names(["x", "y"]))
    assert flow.velocity(x).shape == x.shape
