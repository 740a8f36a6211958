import re

import matplotlib
import pytest
import torch

from eqflow.fields import MinusX, VelocityField, build_field
from eqflow.model import FlowModel
from eqflow.report import gallery, write_report
from eqflow.report.entry import Entry
from eqflow.report.style import STYLE, number, percent
from eqflow.report.verdict import verdict
from eqflow.snapshots import split

PRESERVED = {
    "preservation/mmd2_ratio": -0.412,
    "preservation/mmd2_ratio_h1": 0.123,
    "preservation/mmd2_ratio_h2": 31.7,
    "preservation/escaped_h1": 0.0,
    "preservation/escaped_h2": 0.0125,
    "preservation/mmd2_rbf05": 0.000457,
    "preservation/mmd2_floor95": 0.000615,
    "preservation/sigma": 0.2,
    "residual/relative": 1304.8,
}
TRUTH = {"truth/cos": 0.876, "truth/cos_smoothed": 0.901}
SPREAD = {"null/random_skew/truth/cos": 0.0619, "null/random_skew/truth/cos_std": 0.0382}
HISTORY = {
    "score": [{"step": 1, "score/train_loss": 0.9}, {"step": 2, "score/train_loss": 0.8}],
    "flow": [{"step": 2, "flow/train_loss": 0.5, "flow/val_loss": -0.1}],
}
CONFIG = {
    "name": "fake <b>&</b>",
    "seed": 3,
    "integrator": {"_target_": "eqflow.simulate.RK4", "dt": 0.1},
    "flow": {"family": "network", "sigma": 0.2, "condition": "strong", "divergence": "exact"},
    "note": "<script>alert(1)</script>",
}
PICTURES = {2: {"streamlines"}, 3: {"trajectories"}, 5: {"trajectories"}}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setitem(STYLE, "savefig.dpi", 40)
    monkeypatch.setattr(gallery, "ORBIT", 5.0)


class Exploding(VelocityField):
    """``v(x) = 90 x``: leaves float32 within two transit times."""

    def unscaled(self, x):
        return 90 * x


def report(folder, dim=2, metrics=(), history=(), truth=False, field=None, **config):
    x = torch.randn(300, dim, dtype=torch.float64)
    snapshots = split(x, val=50, test=100, velocity=torch.tanh if truth else None)
    score = {"name": "mlp", "width": 8, "depth": 1}
    model = FlowModel((dim,), snapshots.train, score=score, field={"width": 8})
    names = {"beside/skew/": "skew", "null/random/": "random", "null/random_skew/": "skew"}
    fields = {p: build_field(f, (dim,), model.score, 0.2, 1) for p, f in names.items()}
    fields = {"": field or model.field, **fields}
    figures = write_report(
        folder, CONFIG | config, dict(metrics), dict(history), model.eval(), fields, snapshots
    )
    return figures, (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("dim", sorted(PICTURES))
def test_every_figure_and_number_is_there(tmp_path, dim):
    nulls = {f"null/random/{name}": 2 * value for name, value in PRESERVED.items()}
    metrics = (
        PRESERVED | nulls | TRUTH | SPREAD | {"time/flow_s": 12.3, "beside/skew/truth/cos": 0.5}
    )
    figures, page = report(tmp_path, dim, metrics, HISTORY, truth=True)
    expected = {"preservation", "distributions", "similarity", "losses"} | PICTURES[dim]
    assert {path.stem for path in figures} == expected
    assert all(path.parent == tmp_path / "figures" and path.stat().st_size for path in figures)
    assert page.count("data:image/png;base64,") == len(figures)
    shown = metrics.keys() - {"preservation/mmd2_ratio", "null/random/preservation/mmd2_ratio"}
    shown = {n for n in shown if not re.search("escaped|_h2|sigma|_std|floor95|rbf05", n)}
    assert all(f">{number(metrics[name])}" in page or "time" in name for name in shown)
    assert "flow 12.3" in page
    assert (number(PRESERVED["preservation/mmd2_rbf05"]) in page) == (dim <= 3)


def test_page_loads_nothing_and_escapes_what_it_is_given(tmp_path):
    page = report(tmp_path, metrics=PRESERVED)[1]
    assert not re.search(r"https?://|<script|<link|@import|url\(", page)
    assert "&lt;script&gt;alert(1)" in page
    assert "fake &lt;b&gt;&amp;&lt;/b&gt;" in page


@pytest.mark.parametrize("dim", [2, 3])
def test_nothing_measured_still_gives_a_page(tmp_path, dim):
    figures, page = report(tmp_path, dim)
    assert {path.stem for path in figures} <= {"streamlines", "trajectories"}
    assert "was not measured" in page
    assert "skew (no training)" not in page


def test_states_that_leave_every_bound_are_drawn(tmp_path):
    figures, page = report(tmp_path, 3, PRESERVED, field=Exploding((3,)))
    assert {"trajectories", "distributions"} <= {path.stem for path in figures}
    assert "1.25 % of the states escaped" in page


def test_stochastic_integrator_and_global_state(tmp_path):
    before = dict(matplotlib.rcParams)
    heun = {"_target_": "eqflow.simulate.HeunSDE", "dt": 0.2, "eta": 0.1}
    figures, page = report(tmp_path, 3, PRESERVED, integrator=heun)
    assert "HeunSDE, dt 0.2" in page
    assert dict(matplotlib.rcParams) == before
    assert "trajectories" in {path.stem for path in figures}


@pytest.mark.parametrize(
    ("ratios", "sentence"),
    [
        (
            {1: 0.3, 10: -0.3},
            "is preserved after 10 transit times (MMD² at \N{MINUS SIGN}0.3 times",
        ),
        (
            {1: 0.3, 10: 1.4, 100: 202.4},
            "and not preserved after 100 transit times (MMD² at 202 times",
        ),
        ({1: 5.0}, "is not preserved after 1 transit times"),
    ],
)
def test_verdict(ratios, sentence):
    numbers = {f"preservation/mmd2_ratio_h{h}": ratio for h, ratio in ratios.items()}
    own, null = (
        Entry("", "network", MinusX((2,)), numbers),
        Entry("null/score/", "score", MinusX((2,)), {}),
    )
    assert sentence in verdict([own, null])


def test_numbers_are_written_for_people():
    given = [None, 0.0, -0.4123, 1304.8, 1.77e-13, 2.5e7, float("nan")]
    written = [
        "\N{EN DASH}",
        "0",
        "\N{MINUS SIGN}0.412",
        "1,300",
        "1.77e\N{MINUS SIGN}13",
        "2.5e+07",
        "nan",
    ]
    assert [number(value) for value in given] == written
    assert percent(0.076) == "7.6 %"
