import doctest
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sympy
import torch

import eqflow
from eqflow import estimator, training
from eqflow.discovery import inference
from eqflow.discovery.simulated import Simulated
from eqflow.errors import InputError
from eqflow.estimator import EquilibriumFlow, stationarity_test
from eqflow.fields import FAMILIES, Family
from eqflow.fields.linear import MinusX
from eqflow.model import FlowModel
from eqflow.systems import Lorenz63

STATES = np.random.default_rng(0).normal(size=(600, 2)) @ np.array([[1.0, 0.7], [0.0, 0.5]])
X = STATES[:7]
SKEW = {"family": "skew", "score": {"name": "empirical"}}
TINY = {
    "score": {"name": "mlp", "width": 8, "depth": 1},
    "field": {"width": 8, "depth": 1},
    "score_training": {"steps": 5},
    "flow_training": {"steps": 5},
    "projection": {"steps": 5},
    "batch_size": 64,
}


@pytest.fixture(scope="module")
def skew():
    return EquilibriumFlow(**SKEW).fit(STATES)


@pytest.fixture(scope="module")
def tiny():
    return EquilibriumFlow(**TINY).fit(STATES)


def equations_of(states, flow_training=None, groups=None, **field):
    """A small library; that its states stay is taken for granted, as that takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inference, "simulated", lambda *_: Simulated(0.0, 0.0, 1.0))
        options = {"field": {"degree": 1, **field}, "flow_training": flow_training}
        return EquilibriumFlow("library", **options).fit(states, groups=groups)


@pytest.fixture(scope="module")
def linear():
    return equations_of(STATES)


def test_the_example_of_the_class_runs():
    result = doctest.testmod(estimator)
    assert result.attempted > 0
    assert result.failed == 0


# units


def test_velocity_and_score_are_in_raw_units(skew):
    units = skew.model.standardiser
    z = units.standard(torch.tensor(X))
    torch.testing.assert_close(
        skew.velocity(torch.tensor(X)), units.std * skew.model.field(z.float())
    )
    torch.testing.assert_close(
        skew.score(torch.tensor(X)), skew.model.score(z.float(), 0.2) / units.std
    )


SCALE, SHIFT = np.array([10.0, 0.01]), np.array([-3.0, 5.0])


@pytest.fixture(scope="module")
def scaled():
    return EquilibriumFlow(**SKEW).fit(STATES * SCALE + SHIFT)


def test_an_affine_change_of_units_scales_the_velocity(skew, scaled):
    found = scaled.velocity(X * SCALE + SHIFT) / SCALE
    np.testing.assert_allclose(found, skew.velocity(X), atol=1e-2)


def test_an_affine_change_of_units_divides_the_score(skew, scaled):
    np.testing.assert_allclose(scaled.score(X * SCALE + SHIFT) * SCALE, skew.score(X), atol=1e-2)


def test_an_affine_change_of_units_carries_the_trajectories_along(skew, scaled):
    times = [0.0, 0.5, 1.0]
    found = (scaled.simulate(X * SCALE + SHIFT, times) - SHIFT) / SCALE
    np.testing.assert_allclose(found, skew.simulate(X, times), atol=1e-2)


def test_the_score_is_the_gradient_of_the_smoothed_density_in_raw_units(skew):
    spread, sigma = skew.model.standardiser.std.double().numpy(), 0.2
    points = skew.model.standardiser.raw(skew.model.score.points).double().numpy()

    def log_density(x):
        return np.log(np.exp(-(((x - points) / spread) ** 2).sum(1) / (2 * sigma**2)).sum())

    h = 1e-5
    expected = [
        [(log_density(x + e) - log_density(x - e)) / (2 * h) for e in h * np.eye(2)] for x in X
    ]
    np.testing.assert_allclose(skew.score(X), expected, rtol=1e-2, atol=1e-2)


def test_speed_is_one_standardised_unit_per_transit_time():
    states = np.random.default_rng(1).normal(size=(4000, 2))
    skew = EquilibriumFlow(**SKEW).fit(states)
    units = skew.model.standardiser
    x = units.standard(torch.tensor(states)).float()
    noised = units.raw(x + 0.2 * torch.randn(x.shape))
    v2 = (skew.velocity(noised) / units.std).square().mean(1)
    error = 2**0.5 * v2.std() / len(v2) ** 0.5  # of this draw and of the one that set the scale
    assert abs(v2.mean() - 1) < 4 * error < 0.5


def test_equations_are_the_velocity_in_transit_times(linear):
    sides = linear.equations().right_hand_sides()
    function = sympy.lambdify(list(sides), list(sides.values()), "numpy")
    np.testing.assert_allclose(np.stack(function(*X.T), 1), linear.velocity(X), rtol=1e-5)
    assert linear.equations().unit == 1


UNITS = [(1e-12, 0.0), (1e12, 0.0), (1.0, 293.0), (1e-9, 1.0), (2.0, -1e8), (1.0, [1e6, 0.0])]
"""Scales and offsets of raw states."""


@pytest.mark.parametrize("noise_std", [0.0, 0.1])
@pytest.mark.parametrize(("scale", "offset"), UNITS)
def test_the_law_is_the_same_in_any_units_and_about_any_origin(linear, noise_std, scale, offset):
    offset = np.array(offset)
    options = {"flow_training": {"noise_std": noise_std}}
    plain = equations_of(STATES, **options) if noise_std else linear
    moved = equations_of(scale * STATES + offset, **options)
    one, other = plain.velocity(X), moved.velocity(scale * X + offset) / scale
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-5)
    findings = moved.stationarity()
    assert findings.p_value == pytest.approx(plain.stationarity().p_value, rel=1e-4)
    assert findings.symmetries == plain.stationarity().symmetries != []


def test_a_temperature_in_kelvin_gives_the_terms_of_one_in_celsius():
    x = Lorenz63().sample(3000, seed=3, runs=3000).states.numpy() + np.array([280, 0, 0])
    rows = equations_of(x, degree=2).equations().rows()
    assert {(row.equation, row.term) for row in rows} == {
        *(("dx/dt", term) for term in ("(x - 280)", "y")),
        *(("dy/dt", term) for term in ("(x - 280)", "y", "z (x - 280)")),
        *(("dz/dt", term) for term in ("z", "y (x - 280)")),
    }


def test_an_origin_may_be_chosen():
    equations = equations_of(STATES + 50, origin=[0, 0.5]).equations()
    assert equations.terms.names(["x", "y"]) == ["1", "x", "(y - 0.5)"]
    for origin in ([0], "mean", [0, np.inf]):
        with pytest.raises(InputError, match=r"origin=.* expected auto or, of vectors"):
            EquilibriumFlow("library", field={"origin": origin}).fit(STATES)


@pytest.mark.parametrize("names", [["a", "b"], np.array(["a", "b"]), iter("ab")])
def test_any_sequence_names_the_variables(linear, names):
    assert linear.equations(names).text().splitlines()[0].startswith("da/dt")


def test_columns_of_a_data_frame_name_the_variables(linear):
    flow = equations_of(pd.DataFrame(STATES, columns=["prey", "predator"]))
    assert flow.equations().rates == ["dprey/dt", "dpredator/dt"]
    assert flow.plot(STATES).axes[0].get_ylabel() == "predator"
    np.testing.assert_array_equal(flow.velocity(X), linear.velocity(X))


# simulation


def test_the_velocity_is_the_time_derivative_of_the_trajectory(skew):
    path = skew.simulate(X, [0.0, 0.01, 0.02], dt=0.01)
    np.testing.assert_allclose((path[2] - path[0]) / 0.02, skew.velocity(path[1]), atol=0.05)


@pytest.mark.parametrize("eta", [0.0, 0.3])
def test_numpy_torch_and_lists_give_the_same_trajectories(skew, eta):
    times = [0.0, 0.5, 2.0]
    arrays = skew.simulate(X, np.array(times), eta)
    tensors = skew.simulate(torch.tensor(X), torch.tensor(times).double(), eta)
    assert isinstance(arrays, np.ndarray)
    assert isinstance(tensors, torch.Tensor)
    np.testing.assert_array_equal(arrays, tensors.numpy())
    np.testing.assert_array_equal(arrays, skew.simulate(X.tolist(), times, eta))
    np.testing.assert_allclose(arrays[0], X, atol=1e-5)


def test_whole_numbers_are_times_too(skew):
    for eta in (0.0, 0.3):
        found = skew.simulate(X, [0, 1, 2], eta)
        np.testing.assert_array_equal(found, skew.simulate(X, [0.0, 1.0, 2.0], eta))


def test_restoring_noise_follows_the_seed_of_the_flow_alone(skew):
    torch.manual_seed(1)
    first = skew.simulate(X, [0.0, 1.0], eta=0.3)
    torch.manual_seed(2)
    np.testing.assert_array_equal(skew.simulate(X, [0.0, 1.0], eta=0.3), first)
    other = EquilibriumFlow(seed=1, **SKEW)
    other.model = skew.model
    assert np.abs(other.simulate(X, [0.0, 1.0], eta=0.3) - first).max() > 0.01


# refusals


@pytest.mark.parametrize("method", ["velocity", "score", "simulate"])
@pytest.mark.parametrize("shape", [(2,), (5, 3), (5, 2, 1), (5,)])
def test_states_of_another_shape_are_refused(skew, method, shape):
    arguments = ([0.0, 1.0],) if method == "simulate" else ()
    hint = r", x\[None\] for a single state"
    with pytest.raises(InputError, match=r"expected \(n, 2\)" + hint * (len(shape) == 1)):
        getattr(skew, method)(np.zeros(shape), *arguments)


@pytest.mark.parametrize(
    "use",
    [
        lambda flow, folder: flow.velocity(X),
        lambda flow, folder: flow.score(X),
        lambda flow, folder: flow.simulate(X, [0.0, 1.0]),
        lambda flow, folder: flow.save(folder),
    ],
)
def test_an_unfitted_flow_says_so(use, tmp_path):
    with pytest.raises(InputError, match="not fitted"):
        use(EquilibriumFlow(), tmp_path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"family": "libary"}, "family=libary is unknown; did you mean library"),
        ({"sigma": 0.0}, "sigma=0.0"),
        ({"seed": -1}, "seed=-1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"family": "library", "field": {"degre": 2}}, "degre=2 is unknown; did you mean degree"),
        ({"family": "library", "field": {"degree": 2.5}}, "degree=2.5.*expected a whole number"),
        ({"field": {"width": True}}, "width=True found; expected a whole number"),
        ({"field": {"degree": 2}}, "degree=2 is unknown; expected width, depth"),
        ({"score": {"name": "emprical"}}, "emprical is unknown; did you mean empirical"),
        ({"score": {"widht": 8}}, "widht=8 is unknown; did you mean width"),
        ({"score": {"conservative": "no"}}, "conservative='no' found; expected true or false"),
        ({"score_training": {"stps": 5}}, "score_training: stps=5 .*did you mean steps"),
        ({"flow_training": {"stps": 5}}, "flow_training: stps=5 .*did you mean steps"),
        ({"family": "library", "flow_training": {"steps": 5}}, "steps=5.* expected functions"),
    ],
)
def test_unknown_names_and_values_are_refused_at_once(arguments, says):
    with pytest.raises(InputError, match=says):
        EquilibriumFlow(**arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"score": {"name": "unet"}}, "unet"),
        ({"field": {"fourier": -1}}, "fourier=-1"),
        ({"score_training": {"clip": 1.0}}, "clip=1.0 is unknown; expected steps"),
        ({"flow_training": {"steps": 0}}, "steps=0"),
        ({"flow_training": {"condition": "week"}}, "condition=week .*did you mean weak"),
        ({"flow_training": {"divergence": "exct"}}, "divergence=exct .*did you mean exact"),
        ({"flow_training": {"condition": "weak", "evenness": 0.1}}, "evenness=0.1 is unknown"),
    ],
)
def test_what_the_snapshots_decide_is_refused_before_training(arguments, says, batches):
    with pytest.raises(InputError, match=says):
        EquilibriumFlow(**TINY | arguments).fit(STATES)
    assert not batches


def test_fields_from_outside_take_what_their_builders_take(monkeypatch):
    def build(shape, score, sigma, seed, pace: float = 1.0):
        return MinusX(shape)

    monkeypatch.setitem(FAMILIES, "toy", Family("toy", build))
    EquilibriumFlow("toy", field={"pace": 2})
    with pytest.raises(InputError, match="pase=2 is unknown; did you mean pace"):
        EquilibriumFlow("toy", field={"pase": 2})


@pytest.mark.parametrize(
    ("states", "says"),
    [
        (np.where(np.arange(600)[:, None] == 4, np.nan, STATES), "1 of 600"),
        (STATES * [1, 0], "feature 2 of 2 is constant"),
        (STATES[:1], "feature 1 of 2 is constant"),
        (STATES[:, 0], r"\(N, d\)"),
        (STATES[:0], r"shape \(0, 2\)"),
        ("a.csv", r"X=a.csv found.*data=snapshots data.path=a.csv"),
        ([["a", "b"]], "no array of numbers"),
        ([[1, 2], [3]], "no array of numbers"),
        (STATES * 1j, "complex numbers"),
        (STATES[:, :1], "one dimension"),
    ],
)
def test_unusable_snapshots_are_refused_on_fit(states, says):
    with pytest.raises(InputError, match=says):
        EquilibriumFlow(**SKEW).fit(states)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"groups": np.zeros(599)}, r"found shape \(599,\).*\(600,\)"),
        ({"groups": np.full(600, np.nan)}, "groups: 600 names are NaN"),
        ({"velocities": (STATES, STATES, STATES)}, "expected two arrays"),
        ({"velocities": (STATES, "v.csv")}, "velocities=v.csv found"),
    ],
)
def test_unusable_groups_and_velocities_are_refused_on_fit(given, says):
    with pytest.raises(InputError, match=says):
        EquilibriumFlow(**SKEW).fit(STATES, **given)


def test_too_few_snapshots_for_a_library_are_refused():
    with pytest.raises(InputError, match="3 snapshots found, none of them left to test"):
        EquilibriumFlow("library").fit(STATES[:3])


@pytest.mark.parametrize("times", [10, [10], [0, 0], [1, 0], [0, np.inf], [[0, 1]]])
def test_times_that_do_not_increase_are_refused(skew, times):
    with pytest.raises(InputError, match=r"times=.*increasing times .*as \[0, 10\]"):
        skew.simulate(X, times=times)


def test_equations_need_names(linear):
    with pytest.raises(InputError, match=r"variables=5 found; expected names"):
        linear.equations.__wrapped__(linear, 5)


def test_groups_may_have_any_names():
    names = np.array([f"donor {k:02}" for k in range(60)]).repeat(10)
    one, other = (
        equations_of(STATES, groups=groups).stationarity().p_value
        for groups in (names, np.arange(60).repeat(10))
    )
    assert one == other


def test_copies_of_a_state_change_nothing():
    once, twice = (equations_of(x).stationarity() for x in (STATES, np.concatenate([STATES] * 2)))
    assert once == twice
    tests = (
        stationarity_test(lambda x: x @ [[0, 1], [-1, 0]], x) for x in (STATES, STATES.repeat(2, 0))
    )
    p_values = [test.p_value for test in tests]
    assert p_values[0] == p_values[1]


def test_the_first_snapshots_stand_for_all_whatever_their_order():
    """Members are compared, and a score's asymmetry is measured, at the first of them."""
    points = EquilibriumFlow(**SKEW).fit(np.sort(STATES, axis=0)).model.score.points
    assert points[:300].mean(0).abs().max() < 0.2
    assert points.mean(0).abs().max() < 1e-6


def test_velocities_of_another_shape_or_not_finite_are_refused():
    with pytest.raises(InputError, match=r"found shape \(600, 1\).*\(600, 2\)"):
        stationarity_test(lambda x: x[:, :1], STATES)
    with pytest.raises(InputError, match="1 numbers of them not finite"):
        stationarity_test(lambda x: np.where(x == STATES[3, 1], np.nan, x), STATES)


@pytest.mark.parametrize("option", [{"dt": 0.0}, {"dt": -1.0}, {"eta": -0.1}])
def test_a_wrong_step_or_noise_is_refused(skew, option):
    with pytest.raises(InputError, match=next(iter(option))):
        skew.simulate(X, [0.0, 1.0], **option)


# printing and drawing


def test_a_flow_prints_its_arguments_and_what_it_was_fitted_to(linear, tiny, tmp_path):
    assert repr(EquilibriumFlow(family="library")) == "EquilibriumFlow(family='library')"
    tail = "fitted to 600 snapshots of 2 features at noise level"
    call = "EquilibriumFlow(family='library', field={'degree': 1})"
    assert repr(linear) == f"{call}, {tail} 0"
    assert repr(tiny).endswith(f"batch_size=64, projection={{'steps': 5}}), {tail} 0.2")
    linear.save(tmp_path)
    assert repr(eqflow.load(tmp_path)).endswith(f"{tail} 0")


def test_findings_print_as_a_short_table(linear):
    findings = linear.stationarity()
    lines = [re.split(r"  +", line, maxsplit=1) for line in repr(findings).splitlines()]
    rows = dict(lines)
    assert len(repr(findings)) < 700
    assert rows["equations"] == "not determined"
    assert float(rows["held-out p-value"]) == pytest.approx(findings.p_value, rel=0.05)
    assert rows["dimension"].startswith("1 ")
    assert rows["orientation"].startswith(findings.orientation)
    doubtful = replace(findings, dimension=3)
    assert "no: the fields that keep the distribution span 3" in repr(doubtful)


def test_a_test_prints_as_a_short_table(skew):
    result = stationarity_test(skew.velocity, STATES)
    assert repr(result).splitlines()[0] == f"p-value       {result.p_value:.2g}"
    assert repr(result).splitlines()[-1] == "observations  600"


def test_a_plane_is_drawn_with_streamlines_along_the_velocity(skew):
    (axes,) = skew.plot(STATES).axes
    dots, lines = axes.collections[:2]
    assert len(dots.get_offsets()) == 600
    along = np.concatenate([np.diff(line, axis=0) for line in lines.get_segments()])
    middles = [(line[1:] + line[:-1]) / 2 for line in lines.get_segments()]
    pairs = np.stack([along, skew.velocity(np.concatenate(middles))])
    directions = pairs / (np.linalg.norm(pairs, axis=2, keepdims=True) + 1e-12)
    cosines = directions.prod(0).sum(1)[np.linalg.norm(along, axis=1) > 1e-6]
    assert np.quantile(cosines, 0.1) > 0.95


def test_more_dimensions_are_drawn_with_trajectories():
    states = np.random.default_rng(0).normal(size=(100, 3))
    flow = EquilibriumFlow(**SKEW).fit(states)
    first, *_ = flow.plot(states, time=2.0).axes
    path = flow.simulate(states[:3], np.linspace(0, 2, 301))
    np.testing.assert_allclose(
        np.array([line.get_xdata() for line in first.lines[:3]]).T, path[..., 0]
    )


def test_images_are_drawn_in_motion():
    flow = EquilibriumFlow("skew", score={"name": "empirical"}).fit(IMAGES)
    figure = flow.plot(IMAGES, time=2.0)
    np.testing.assert_allclose(
        figure.axes[4].images[0].get_array(),
        flow.simulate(IMAGES[:1], [0, 0.5, 1, 1.5, 2])[4, 0, 0],
    )


# training and storage


@pytest.fixture
def batches(monkeypatch) -> list[int]:
    """Sizes of the batches of every training."""
    sizes, loader = [], training.train_loader

    def noted(states, size, *rest):
        sizes.append(size)
        return loader(states, size, *rest)

    monkeypatch.setattr(training, "train_loader", noted)
    return sizes


IMAGES = np.random.default_rng(0).normal(size=(20, 1, 8, 8))
CONV = {"family": "skew", "sigma": 0.24, "score": {"name": "conv", "width": 4}, "field": {}}


@pytest.mark.parametrize(
    ("states", "options", "size"),
    [
        (STATES, {"batch_size": None}, estimator.VECTORS_PER_STEP),
        (STATES, {"batch_size": 64}, 64),
        (IMAGES, CONV | {"batch_size": None}, estimator.IMAGES_PER_STEP),
        (IMAGES, CONV | {"batch_size": 5}, 5),
    ],
)
def test_batches_of_images_are_small_unless_their_size_is_chosen(states, options, size, batches):
    EquilibriumFlow(**TINY | options).fit(states)
    assert set(batches) == {size}


@pytest.mark.parametrize("side", [16, 21])
def test_images_that_are_not_periodic_are_warned_of(side, caplog):
    place = 2 * np.pi / 16 * np.arange(side)
    phase = np.random.default_rng(0).uniform(0, 2 * np.pi, (2, 40, 1, 1))
    images = np.sin(place + phase[0]) + np.cos(place[:, None] + phase[1])
    EquilibriumFlow(**SKEW).fit(images[:, None])
    assert bool(caplog.messages) == (side == 21)
    assert all("X: the images do not look periodic" in line for line in caplog.messages)


def test_counts_are_snapshots_too():
    counts = np.random.default_rng(0).poisson(20, size=(200, 2))
    flow, same = (EquilibriumFlow(**SKEW).fit(x) for x in (counts, counts.astype(float)))
    np.testing.assert_array_equal(flow.velocity(counts[:5]), same.velocity(counts[:5]))


def test_training_moves_the_weights_of_score_and_field(tiny):
    model = tiny.model
    start = FlowModel((2,), torch.zeros(0, 2), **model.config)
    for name in ("score", "field"):
        pairs = zip(
            getattr(model, name).parameters(), getattr(start, name).parameters(), strict=True
        )
        assert any((trained - drawn).abs().max() > 1e-3 for trained, drawn in pairs)
    assert not any(p.requires_grad for p in model.parameters())


def test_a_trained_network_has_unit_speed_and_no_drift():
    from eqflow.training import noised_batches

    model = EquilibriumFlow(exact=False, **TINY).fit(STATES).model
    units = model.standardiser
    z = units.standard(torch.tensor(STATES)).float()
    v = torch.cat([model.field(x) for x in noised_batches(z, 0.2)])
    assert v.square().mean().item() == pytest.approx(1, abs=0.15)
    assert v.mean(0).abs().max() < 0.15


def test_training_warns_of_nothing_that_its_caller_could_not_mend(recwarn):
    EquilibriumFlow(**TINY).fit(STATES)
    ours = [w for w in recwarn if "pytorch_lightning" in w.filename or "eqflow" in w.filename]
    assert [str(w.message) for w in ours] == []


def test_the_same_seed_trains_the_same_flow_whatever_the_global_seed(tiny):
    torch.manual_seed(77)
    again, other = (EquilibriumFlow(seed=seed, **TINY).fit(STATES) for seed in (0, 1))
    np.testing.assert_array_equal(again.velocity(X), tiny.velocity(X))
    assert np.abs(other.velocity(X) - tiny.velocity(X)).max() > 1e-3


@pytest.mark.parametrize("name", ["skew", "tiny"])
@pytest.mark.parametrize("inside", ["", "flow"], ids=["flow", "run folder"])
def test_a_saved_flow_is_loaded_with_its_units_seed_and_dynamics(name, inside, tmp_path, request):
    flow = request.getfixturevalue(name)
    flow.save(tmp_path / inside)
    loaded = eqflow.load(tmp_path)
    np.testing.assert_array_equal(loaded.velocity(X), flow.velocity(X))
    np.testing.assert_array_equal(loaded.score(X), flow.score(X))
    np.testing.assert_array_equal(
        loaded.simulate(X, [0.0, 1.0], 0.2), flow.simulate(X, [0.0, 1.0], 0.2)
    )


def test_loading_what_is_no_flow_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a saved flow"):
        eqflow.load(tmp_path)


@pytest.mark.parametrize(("score", "clean"), [("empirical", 2**-0.5), ("mlp", 1)])
def test_samples_are_states_of_the_smoothed_distribution(score, clean):
    """A wide Gaussian in raw units, with noise as large as its features' standard deviations.

    Only a score of several levels knows more of the clean states than their mean.
    """
    scale = np.array([3.0, 0.1])
    x = scale * np.random.default_rng(0).normal(size=(500, 2))
    training = {"steps": 300} if score == "mlp" else {}
    flow = EquilibriumFlow("skew", 1.0, score={"name": score}, score_training=training).fit(x)
    for noised, size in ((True, 2**0.5), (False, clean)):
        states = flow.sample(1000, time=0.2, noised=noised)
        assert states.std(0) / x.std(0) == pytest.approx([size] * 2, rel=0.08)
    np.testing.assert_array_equal(flow.sample(5, time=0.1), flow.sample(5, time=0.1))
