"""Networks made exact: the nearest field that keeps the distribution, by two trainings."""

import logging

import pytest
import torch
from runs import TINY, call, metrics

import eqflow
from eqflow.data import split
from eqflow.errors import InputError
from eqflow.estimator import EquilibriumFlow
from eqflow.evaluation import Protocol, Reference
from eqflow.evaluation.similarity import likeness_to_network
from eqflow.fields import ExactNetwork, Network, build_exact, exact_if_possible
from eqflow.score import EmpiricalScore, Score
from eqflow.stationarity import strong_moments
from eqflow.training import Batch, ProjectionModule, quiet_trainer, train_loader, warn_of_asymmetry


class Gaussian(Score):
    """Score of ``N(0, (1 + sigma^2) I)``: standard normal data."""

    def forward(self, x, sigma):
        return -x / (1 + sigma**2)


class Spiral(Network):
    """Rotation by ``turn`` and contraction by ``fall``, in place of a network of two variables."""

    def __init__(self, turn=1.0, fall=0.0):
        super().__init__((2,), width=1, depth=1)
        self.turn, self.fall = turn, fall

    def unscaled(self, x):
        return self.turn * torch.stack([-x[:, 1], x[:, 0]], dim=1) - self.fall * x


def cosine(v, w):
    return ((v * w).sum() / (v.norm() * w.norm())).item()


def projected(origin, score, sigma=0.5, steps=300, **options):
    torch.manual_seed(0)
    field = ExactNetwork(origin, score, sigma, width=16, depth=2)
    field.sigma = sigma
    module = ProjectionModule(field, steps=steps, **options)
    trainer = quiet_trainer(steps, accelerator="cpu")
    trainer.fit(module, train_loader(torch.randn(4000, 2), 256, 100, 0))
    return field.requires_grad_(False)


@pytest.mark.parametrize("dim", [2, 3, 5])
def test_an_exact_network_has_no_residual(dim, double):
    """Whatever its weights, by a divergence that knows no formula."""
    field = ExactNetwork(Network((dim,), width=8), EmpiricalScore(torch.randn(5, dim)), 0.5)
    x = torch.randn(50, dim)
    r2, v2 = strong_moments(field, x, field.score(x, 0.5))
    assert r2.mean() < 1e-20 * v2.mean()


def test_what_keeps_the_distribution_is_its_own_projection():
    origin = Spiral(turn=2.0)
    field = projected(origin, Gaussian())
    x = torch.randn(500, 2)
    assert cosine(field(x), origin(x)) > 0.999


def test_the_projection_drops_the_gradient_part():
    """Exact fields are orthogonal to gradients under the distribution: the rotation remains.

    The loss at the minimum is then the share of the contraction, ``fall^2 / (turn^2 + fall^2)``.
    """
    origin, rotation = Spiral(1.0, 0.75), Spiral(1.0, 0.0)
    field = projected(origin, Gaussian())
    x = 1.25**0.5 * torch.randn(4000, 2)
    assert cosine(field(x), rotation(x)) > 0.998
    assert cosine(field(x), origin(x)) == pytest.approx(0.8, abs=0.02)
    states = torch.randn(4000, 2)
    module = ProjectionModule(field)
    assert module.loss(Batch(states, len(states)), 0).item() == pytest.approx(0.36, abs=0.03)


def test_the_network_is_not_changed_by_its_projection():
    origin = Network((2,), width=8)
    before = [p.clone() for p in origin.parameters()]
    projected(origin, Gaussian(), steps=5)
    for old, new in zip(before, origin.parameters(), strict=True):
        assert torch.equal(old, new)


@pytest.mark.parametrize(
    ("family", "shape", "members", "condition", "possible"),
    [
        ("network", (3,), 1, "strong", True),
        ("network", (3,), 1, "weak", False),
        ("network", (3,), 4, "strong", False),
        ("network", (2, 8, 8), 1, "strong", False),
        ("random", (3,), 1, "strong", False),
    ],
)
def test_one_network_of_vectors_is_made_exact_unless_asked_otherwise(
    family, shape, members, condition, possible
):
    parts = (family, shape, members, condition)
    assert exact_if_possible(None, *parts) is possible
    assert exact_if_possible(False, *parts) is False
    if possible:
        assert exact_if_possible(True, *parts)
        return
    with pytest.raises(InputError, match=r"flow.exact=true makes one network.*flow.exact=false"):
        exact_if_possible(True, *parts)


def test_many_dimensions_are_made_exact_only_where_it_is_asked_for():
    parts = ("network", (33,), 1, "strong")
    assert not exact_if_possible(None, *parts)
    assert exact_if_possible(True, *parts)


def test_a_score_that_is_no_gradient_is_told_with_what_it_costs(caplog):
    class Rotated(Score):
        def forward(self, x, sigma):
            return torch.stack([-x[:, 0] - x[:, 1], x[:, 0] - x[:, 1]], dim=1)

    field = build_exact(Network((2,)), Rotated(), 0.2, width=8, depth=2)
    with caplog.at_level(logging.WARNING, "eqflow"):
        warn_of_asymmetry(field, torch.randn(100, 2))
    assert "flow.exact=true is exact where the score is a gradient" in caplog.text
    assert "1.4, so that the field has a residual and its distribution drifts" in caplog.text


SMALL = {
    "score": {"width": 8, "depth": 1},
    "field": {"width": 8, "depth": 1},
    "projection": {"width": 8, "depth": 2, "steps": 5},
    "score_training": {"steps": 5},
    "flow_training": {"steps": 5},
}


def test_an_exact_flow_is_the_same_after_it_was_saved(tmp_path):
    x = torch.randn(300, 2)
    flow = EquilibriumFlow(**SMALL).fit(x)
    assert isinstance(flow.model.field, ExactNetwork)
    flow.save(tmp_path)
    again = eqflow.load(tmp_path)
    assert torch.equal(again.velocity(x), flow.velocity(x))
    assert isinstance(again.model.field, ExactNetwork)
    assert "exact=True" in repr(again)


def test_the_network_as_it_is_on_request():
    x = torch.randn(300, 2)
    alone = EquilibriumFlow(exact=False, **SMALL).fit(x)
    assert isinstance(alone.model.field, Network)
    made_exact = EquilibriumFlow(**SMALL).fit(x)
    torch.testing.assert_close(made_exact.model.field.origin(x), alone.model.field(x))


def test_what_is_left_of_the_network_is_measured():
    """A rotation beside a network that turns and falls: the cosine is that of its angle."""
    origin, snapshots = Spiral(1.0, 0.75), split(torch.randn(2000, 2).double(), val=10, test=1000)
    reference = Reference(snapshots, 0.5, Protocol())
    exact = projected(origin, Gaussian())
    assert likeness_to_network(exact, reference)["network/cos"] == pytest.approx(0.8, abs=0.03)
    assert likeness_to_network(origin, reference) == {}


def test_options_of_the_projection_are_checked():
    with pytest.raises(InputError, match="projection: stps=5 is unknown; did you mean steps"):
        EquilibriumFlow(projection={"stps": 5})
    with pytest.raises(InputError, match=r"flow.projection: steps=0"):
        EquilibriumFlow(**SMALL | {"projection": {"steps": 0}}).fit(torch.randn(300, 2))


def test_a_run_starts_from_the_network_of_another_one(tmp_path, monkeypatch):
    """From ``network.ckpt``, also where it stays as it is."""
    folder, cache = f"run_dir={tmp_path}/run", f"cache_dir={tmp_path}/cache"
    assert call(monkeypatch, *TINY, "logger=none", "stages=[score,flow]", folder, cache) == 0
    start = f"ckpt_path={tmp_path}/run/checkpoints/network.ckpt"
    still = ["flow.training.steps=1", "flow.training.learning_rate=1e-30", "flow.exact=false"]
    again = [*TINY, start, *still, "logger=none", f"run_dir={tmp_path}/again", cache]
    assert call(monkeypatch, *again) == 0
    x = torch.randn(5, 2)
    origin = eqflow.load(tmp_path / "run").model.field.origin
    torch.testing.assert_close(eqflow.load(tmp_path / "again").model.field(x), origin(x))
    assert "truth/cos" not in metrics(tmp_path / "again")
