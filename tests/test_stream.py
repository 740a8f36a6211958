"""Fields that keep a distribution by their form, and how one of them is chosen."""

import copy
import logging

import numpy as np
import pytest
import torch

import eqflow
from data_modules import Lorenz, Ring, SnapshotsFile, SyntheticModule, TwoMoons, TwoPeaks
from eqflow.data import KnownVelocities, checked_velocities
from eqflow.errors import InputError
from eqflow.estimator import EquilibriumFlow
from eqflow.evaluation import Protocol, Reference, evaluate
from eqflow.fields import Network, Stream, build_field
from eqflow.score import EmpiricalScore, MLPScore, Score, asymmetry
from eqflow.simulate import RK4
from eqflow.stationarity import strong_moments
from eqflow.systems import Sample
from eqflow.training import (
    Batch,
    FlowModule,
    StreamModule,
    WeakModule,
    flow_module,
    noised_batches,
    quiet_trainer,
    score_module,
    train_loader,
    warn_of_asymmetry,
)
from eqflow.training.velocities import VELOCITIES_PER_STEP, KnownVelocityLoss


class Gaussian(Score):
    """Score of ``N(0, (1 + sigma^2) I)``: standard normal data."""

    def forward(self, x, sigma):
        return -x / (1 + sigma**2)


class Rotated(Score):
    """A rotation and a decay: ``|J - J^T| / |J|`` is ``sqrt 2``."""

    def forward(self, x, sigma):
        return torch.stack([-x[:, 0] - x[:, 1], x[:, 0] - x[:, 1]], dim=1)


def mixture(dim, n=5):
    """Score of a mixture of Gaussians: a smoothed measure of few points."""
    return EmpiricalScore(torch.randn(n, dim))


def stream(dim, score, sigma=0.5, **arguments):
    return Stream((dim,), score, sigma, width=16, depth=2, **arguments)


def relative(field, x):
    """``E r^2 / E |v|^2`` against the field's own score, by a divergence that knows no formula."""
    r2, v2 = strong_moments(field, x, field.score(x, field.sigma))
    return (r2.mean() / v2.mean()).item()


def fit(module, states, batch_size=256):
    trainer = quiet_trainer(module.steps, accelerator="cpu")
    trainer.fit(module, train_loader(states, batch_size, 100, 0))


def cosine(v, w):
    return ((v * w).sum() / (v.norm() * w.norm())).item()


def turned(x):
    return torch.stack([-x[:, 1], x[:, 0]], dim=1)


@pytest.fixture(scope="module")
def lorenz():
    """Few states, of 20 of which the velocity is known."""
    module = Lorenz(n=500, val=10, test=100, velocities=20)
    module.setup()
    return module


# form


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("dim", [2, 3, 6])
@pytest.mark.parametrize("score", [lambda dim: Gaussian(), mixture])
def test_the_residual_is_zero_for_a_score_that_is_a_gradient(dim, score):
    field, x = stream(dim, score(dim)), torch.randn(200, dim)
    assert relative(field, x) < 1e-10
    for parameter in field.network.parameters():
        parameter.data.add_(torch.randn_like(parameter))
    assert relative(field, x) < 1e-10


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("principle", ["smooth", "acceleration", "velocities"])
def test_training_leaves_the_residual_at_zero(principle):
    states = torch.randn(500, 3)
    field, velocities = stream(3, mixture(3)), KnownVelocities(states[:4], torch.randn(4, 3))
    before = field(states)
    fit(StreamModule(field, velocities, principle, steps=5), states)
    assert (field(states) - before).abs().max() > 1e-3
    assert relative(field, states[:200]) < 1e-10


@pytest.mark.parametrize("data", [TwoPeaks, TwoMoons, Ring, Lorenz])
def test_a_trained_conservative_score_is_enough(data, lorenz):
    module = lorenz if data is Lorenz else data(n=1000, val=50, test=100)
    module.setup()
    states = module.snapshots.train
    score = MLPScore(module.shape, width=16, depth=2)
    fit(score_module(score, steps=30), states)
    field = build_field("stream", module.shape, score, 0.2)
    fit(StreamModule(field, steps=5), states)
    assert relative(field.double(), states[:200].double()) < 1e-10


@pytest.mark.usefixtures("double")
def test_the_velocity_is_the_formula_with_an_automatic_derivative():
    field, x = stream(4, mixture(4)), torch.randn(30, 4)
    slopes = torch.func.vmap(torch.func.jacrev(lambda row: field.matrix(row[None])[0]))(x)
    assert torch.equal(field.matrix(x), -field.matrix(x).mT)
    expected = (field.matrix(x) @ field.score(x, 0.5)[:, :, None]).squeeze(2)
    expected = expected + slopes.diagonal(dim1=2, dim2=3).sum(2)
    torch.testing.assert_close(field(x), expected)


@pytest.mark.usefixtures("double")
def test_the_residual_is_q_times_the_curl_of_a_score_that_is_no_gradient():
    field, x = stream(2, Rotated()), torch.randn(100, 2)
    r2, _ = strong_moments(field, x, field.score(x, 0.5))
    # 1/2 sum_ij Q_ij (d_i s_j - d_j s_i) = 2 Q_12
    torch.testing.assert_close(r2, (2 * field.matrix(x)[:, 0, 1]) ** 2)


@pytest.mark.usefixtures("double")
def test_the_transforms_of_functions_go_through():
    field, x = stream(3, Gaussian()), torch.randn(20, 3)
    forward, reverse = (
        torch.func.vmap(derivative(lambda row: field(row[None])[0]))(x)
        for derivative in (torch.func.jacfwd, torch.func.jacrev)
    )
    torch.testing.assert_close(forward, reverse)


def test_the_mean_under_the_distribution_vanishes_by_the_form():
    field, x = stream(2, Gaussian()), 1.25**0.5 * torch.randn(200_000, 2)
    v = field(x).detach()
    assert (v.mean(0).abs() < 5 * v.std(0) / len(x) ** 0.5).all()


def test_images_are_refused():
    with pytest.raises(InputError, match=r"flow=stream takes vectors.*\(2, 8, 8\)"):
        build_field("stream", (2, 8, 8), Gaussian(), 0.2)


# scores that are no gradient


@pytest.mark.usefixtures("double")
def test_the_asymmetry_is_that_of_the_jacobian():
    x = torch.randn(50, 2)
    assert asymmetry(Rotated(), x, 0.2) == pytest.approx(2**0.5)
    assert asymmetry(mixture(2), x, 0.5) < 1e-12


def test_a_score_that_is_no_gradient_is_told_of_with_its_number(caplog):
    states = torch.randn(300, 2)
    with caplog.at_level(logging.WARNING, "eqflow"):
        warn_of_asymmetry(stream(2, Gaussian()), states)
        assert not caplog.text
        warn_of_asymmetry(stream(2, Rotated()), states)
    assert "is 1.4" in caplog.text
    assert "score.conservative=true" in caplog.text


# principles


def test_the_smoothest_stream_field_of_a_gaussian_is_a_rotation():
    states = torch.randn(4000, 2)
    field = stream(2, Gaussian(), 0.2)
    fit(StreamModule(field, steps=200), states)
    x = torch.randn(2000, 2)
    v = field(x)
    assert cosine(v, x @ torch.linalg.lstsq(x, v).solution) > 0.99
    assert abs(cosine(v, turned(x))) > 0.99


def test_the_roughness_of_a_linear_field_is_that_of_its_matrix():
    # with Q constant v is a rotation of the score: |grad v|^2 = d, |v|^2 = |x|^2 at unit speed
    field = stream(2, Gaussian(), 0.2)
    for parameter in field.network.last.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.ones_(field.network.last.bias)
    module, states = StreamModule(field), torch.randn(100_000, 2)
    speed, rough = module.moments(Batch(states, len(states)), 0)
    assert speed.item() == pytest.approx(2 / 1.04, rel=0.02)
    assert rough.item() == pytest.approx(2 / 1.04**2, rel=0.02)
    # the acceleration of a turn at angular velocity 1 / 1.04 is |x| / 1.04^2
    module = StreamModule(field, principle="acceleration")
    speed, rough = module.moments(Batch(states, len(states)), 0)
    assert rough.item() == pytest.approx(2 / 1.04**3, rel=0.02)


@pytest.mark.parametrize("principle", ["smooth", "acceleration"])
def test_a_principle_depends_neither_on_speed_nor_on_sign(principle):
    module, batch = StreamModule(stream(3, Gaussian()), principle=principle), torch.randn(500, 3)
    loss = module.loss(Batch(batch, 500), 0).item()
    module.field.scale.mul_(-7)
    # differences over steps of another length, of the acceleration
    assert module.loss(Batch(batch, 500), 0).item() == pytest.approx(loss, rel=1e-3)


def test_training_lowers_the_acceleration():
    states = torch.randn(2000, 2)
    module = StreamModule(stream(2, Gaussian(), gain=3.0), principle="acceleration", steps=100)
    batch = Batch(states, len(states))
    before = module.loss(batch, 0).item()
    fit(module, states)
    assert module.loss(batch, 0).item() < 0.9 * before


def test_none_is_a_random_draw():
    states = torch.randn(50, 2)
    field = stream(2, Gaussian())
    assert flow_module(field, Gaussian(), states, principle="none") is None
    assert isinstance(flow_module(field, Gaussian(), states, principle="smooth"), StreamModule)


def test_only_a_few_known_velocities_choose_the_field_by_themselves():
    velocities = KnownVelocities(torch.ones(1, 2), torch.ones(1, 2))
    assert StreamModule(stream(2, Gaussian())).principle == "smooth"
    assert StreamModule(stream(2, Gaussian()), velocities).principle == "velocities"
    assert StreamModule(stream(2, Gaussian()), velocities, "smooth").principle == "smooth"


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"principle": "nope"}, "flow.principle=nope is unknown"),
        ({"principle": "velocities"}, "flow.principle=velocities found without velocities"),
        ({"smoothness": -1.0}, "flow.smoothness=-1.0"),
        ({"condition": "weak"}, "flow.condition=weak found with flow=stream"),
    ],
)
def test_wrong_options_are_refused(option, sentence):
    with pytest.raises(InputError, match=sentence):
        flow_module(stream(2, Gaussian()), Gaussian(), torch.randn(9, 2), **option)


# velocities


def test_velocities_of_a_rotation_turn_the_field():
    states = torch.randn(4000, 2)
    velocities = KnownVelocities(states[:10], -5 * turned(states[:10]))
    field = stream(2, Gaussian(), 0.2)
    fit(StreamModule(field, velocities, steps=200), states)
    field.requires_grad_(False).normalise_(noised_batches(states, 0.2))
    assert cosine(field(states), -turned(states)) > 0.99
    speed, found = velocities.fit(field(velocities.x))
    assert found > 0.99
    # the field has unit speed where E|x|^2 / d = 1.04
    assert speed == pytest.approx(5 * 1.04**0.5, rel=0.05)


@pytest.mark.parametrize("kind", [FlowModule, WeakModule])
def test_a_network_pays_for_its_error_at_known_velocities(kind):
    states, field = torch.randn(500, 2), Network((2,), 8, 2)
    data = states if kind is WeakModule else Gaussian()
    velocities = KnownVelocities(states[:5], turned(states[:5]))
    batch, losses = Batch(states, 500), {}
    for weight in (0.0, 1.0, 3.0):
        module = kind(field, data, velocities=velocities, velocity_weight=weight)
        losses[weight] = module.loss(batch, 0)
    error = (
        (field(velocities.x) - velocities.v / velocities.v.square().mean().sqrt()).square().mean()
    )
    torch.testing.assert_close(losses[1.0] - losses[0.0], error)
    torch.testing.assert_close(losses[3.0] - losses[0.0], 3 * error)
    torch.testing.assert_close(losses[0.0], kind(field, data).loss(batch, 0))


def test_velocities_decide_the_sign_of_a_weak_network():
    states, field = torch.randn(300, 2), Network((2,), 8, 2)
    velocities = KnownVelocities(states[:5], turned(states[:5]))
    before = field(states).detach()
    fit(WeakModule(field, states, velocities=velocities, steps=1, learning_rate=1e-12), states)
    torch.testing.assert_close(field(states), before)


def test_of_many_known_velocities_each_step_takes_others():
    x = torch.randn(3 * VELOCITIES_PER_STEP, 2)
    error, field = KnownVelocityLoss(KnownVelocities(x, turned(x))), Network((2,), 8, 1)
    assert error(field, 0) != error(field, 1)
    mean = torch.stack([error(field, step) for step in range(30)]).mean()
    whole = (field(x) - error.v).square().mean()
    assert mean.item() == pytest.approx(whole.item(), rel=0.03)


WRONG = {
    "of shape \\(3, 2\\) and velocities of shape \\(3, 2\\)": (np.ones((3, 2)), np.ones((3, 2))),
    "velocities of shape \\(2, 3\\)": (np.ones((3, 3)), np.ones((2, 3))),
    "1 of 3 velocities hold NaN": (np.ones((3, 3)), np.array([[1.0] * 3, [np.nan] * 3, [1.0] * 3])),
    "all velocities are zero": (np.ones((3, 3)), np.zeros((3, 3))),
    "state 1 has 99 in feature 2": (np.diag([1.0, 99.0, 1.0])[:, [0, 2, 1]], np.ones((3, 3))),
    "shape \\(0, 3\\)": (np.ones((0, 3)), np.ones((0, 3))),
}


@pytest.mark.parametrize("sentence", WRONG)
def test_wrong_velocities_are_refused(sentence):
    x, v = (torch.tensor(part) for part in WRONG[sentence])
    with pytest.raises(InputError, match=rf"^data\.velocities=.*{sentence}"):
        checked_velocities(x, v, torch.randn(500, 3), "data.velocities=a.csv")


def test_velocities_of_images_are_refused():
    with pytest.raises(InputError, match="velocities found beside images"):
        checked_velocities(
            torch.ones(1, 2), torch.ones(1, 2), torch.randn(5, 2, 4, 4), "velocities"
        )


@pytest.mark.parametrize("suffix", ["csv", "npy", "npz"])
def test_velocities_of_a_file_are_standardised(tmp_path, suffix):
    rng = np.random.default_rng(0)
    states, path = rng.normal(size=(400, 2)) * [10, 0.1] + 3, tmp_path / f"velocities.{suffix}"
    x, v = states[:1], np.array([[2.0, 0.3]])
    match suffix:
        case "csv":
            np.savetxt(path, np.hstack([x, v]), delimiter=",")
        case "npy":
            np.save(path, np.hstack([x, v]))
        case "npz":
            np.savez(path, x=x, v=v)
    np.save(tmp_path / "x.npy", states)
    module = SnapshotsFile(str(tmp_path / "x.npy"), velocities=str(path))
    module.setup()
    found, units = module.snapshots.known_velocities, module.snapshots.standardiser
    torch.testing.assert_close(units.raw(found.x).numpy(), x, rtol=1e-5, atol=0)
    torch.testing.assert_close((found.v * units.std).numpy(), v, rtol=1e-5, atol=0)


def test_velocities_of_a_file_that_does_not_fit_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(400, 2)))
    np.savetxt(tmp_path / "odd.csv", np.ones((4, 3)), delimiter=",")
    np.savez(tmp_path / "pair.npz", x=np.ones((4, 2)))
    for name, sentence in (
        ("odd.csv", r"\(4, 3\)"),
        ("pair.npz", "v is not"),
        ("no.npy", "no such"),
    ):
        with pytest.raises(InputError, match=rf"data\.velocities=.*{sentence}"):
            SnapshotsFile(str(tmp_path / "x.npy"), velocities=str(tmp_path / name))


def test_a_known_system_gives_velocities_of_training_states_at_random(lorenz):
    snapshots, velocities = lorenz.snapshots, lorenz.snapshots.known_velocities
    assert len(velocities.x) == 20
    torch.testing.assert_close(velocities.v, snapshots.velocity(velocities.x))
    assert all((snapshots.train == row).all(1).any() for row in velocities.x)
    fewer, other = copy.copy(lorenz), copy.copy(lorenz)
    fewer.velocities, other.seed = 3, 1
    torch.testing.assert_close(fewer.load().known_velocities.x, velocities.x[:3])
    assert not torch.equal(other.load().known_velocities.x, velocities.x)


@pytest.mark.parametrize(
    ("data", "velocities", "sentence"),
    [
        (Lorenz, 0, "from 1 to 500"),
        (Lorenz, 501, "from 1 to 500"),
        (Lorenz, 2.5, "data.velocities=2.5"),
        (Ring, 3, "data.velocities=3 found for Ring"),
    ],
)
def test_velocities_that_cannot_be_made_are_refused(data, velocities, sentence):
    with pytest.raises(InputError, match=sentence):
        data(n=500, val=10, test=10, velocities=velocities)


class Runs(SyntheticModule):
    """Seven snapshots of each run."""

    shape = (2,)
    velocity = staticmethod(turned)

    def sample(self, n):
        return Sample(torch.randn(n, 2).double(), torch.arange(n) // 7)


def test_all_velocities_may_be_known_although_no_run_is_cut():
    module = Runs(n=1000, val=100, test=200, velocities=1000)
    module.setup()
    assert len(module.snapshots.known_velocities.x) == len(module.snapshots.train) < 1000


def test_an_evaluation_tells_speed_and_direction_at_known_velocities(lorenz):
    field = build_field("skew", (3,), EmpiricalScore(lorenz.snapshots.train), 0.2)
    protocol = Protocol(horizons=(1,), starts=20, splits=4, transport=False, chaos=0)
    reference = Reference(lorenz.snapshots, 0.2, protocol)
    numbers = evaluate(field, field.score, reference, RK4())
    velocities = lorenz.snapshots.known_velocities
    v = field(velocities.x)
    assert numbers["velocities/cos"] == pytest.approx(cosine(v, velocities.v), abs=1e-5)
    left = (velocities.v - numbers["velocities/speed"] * v).flatten() @ v.flatten()
    assert abs(left) < 1e-3


# without Hydra

SMALL = {
    "score": {"name": "empirical"},
    "field": {"width": 8, "depth": 1},
    "flow_training": {"steps": 20},
}


def test_saving_and_loading_gives_the_same_velocities_and_speed(tmp_path):
    states = np.random.default_rng(0).normal(size=(500, 2))
    velocities = (states[:5], 3 * states[:5] @ np.array([[0, 1], [-1, 0]]))
    flow = EquilibriumFlow("stream", **SMALL).fit(states, velocities=velocities)
    flow.save(tmp_path)
    again = eqflow.load(tmp_path)
    np.testing.assert_array_equal(again.velocity(states[:9]), flow.velocity(states[:9]))
    assert again.speed == flow.speed
    assert flow.speed > 0
    best = flow.speed * flow.velocity(velocities[0])
    assert abs(((velocities[1] - best) * best / states.std(0) ** 2).sum()) < 1e-2


def test_without_known_velocities_there_is_no_speed():
    states = np.random.default_rng(0).normal(size=(500, 2))
    flow = EquilibriumFlow("stream", **SMALL | {"flow_training": {"principle": "none"}})
    assert flow.fit(states).speed is None


def test_velocities_in_other_units_are_refused():
    states = np.random.default_rng(0).normal(size=(500, 2))
    with pytest.raises(InputError, match="velocities: state 0 has 1000 in feature 0"):
        EquilibriumFlow("stream", **SMALL).fit(states, velocities=(1000 * np.ones((1, 2)),) * 2)
