"""Equations of images: test functionals, moments by blocks, search of the terms, recovery."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch.func import jvp

import eqflow
from eqflow.data import Standardiser
from eqflow.discovery import Discovery
from eqflow.discovery.gmm import minimise
from eqflow.discovery.sample import ImageSample
from eqflow.discovery.subsets import Quadratic
from eqflow.errors import InputError
from eqflow.fields import Library
from eqflow.stationarity import FourierFunctions, Sums, WeakForm
from eqflow.stationarity.images.form import inflation, moments
from eqflow.stationarity.images.functions import LocalFunctions, features
from eqflow.systems import GrayScott, Schedule
from eqflow.terms import Operators, Polynomial, laplacian

TRUE = {
    "du/dt": {"1", "u", "u v^2", "lap(u)"},
    "dv/dt": {"v", "u v^2", "lap(v)"},
}


def draws(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def averaged(x: torch.Tensor) -> torch.Tensor:
    for axis in (-1, -2):
        x = (x.roll(1, axis) + 2 * x + x.roll(-1, axis)) / 4
    return x


def test_features_are_the_stencils():
    x = draws(3, 2, 8, 6)
    expected = torch.stack([x, laplacian(x), averaged(averaged(x))])
    torch.testing.assert_close(features(x), expected, rtol=0, atol=1e-12)


def value(z: torch.Tensor, functions: LocalFunctions) -> torch.Tensor:
    """The functionals of one image."""
    f = (functions.features(z) - functions.mean[..., None, None]) / functions.std[..., None, None]
    angles = functions.frequencies @ f.flatten(2).flatten(0, 1) + functions.phases[:, None]
    return angles.cos().mean(1)


@pytest.mark.parametrize("directed", [False, True])
def test_moments_are_the_rates_of_the_functionals_along_the_field(directed):
    z = draws(4, 2, 8, 12)
    field = Library((2, 8, 12), 2, coupling=1)
    functions = LocalFunctions.of(z, 30, directed=directed)
    xi = draws(len(field.terms), 2, seed=1)
    blocks = moments(z, field.theta, functions).blocks
    assert blocks.shape[:2] == (4, 16)
    actual = torch.einsum("nbmac,ac->nbm", blocks, xi).mean(1)
    velocity = torch.einsum("nahw,ac->nchw", field.theta(z), xi)
    for image, v, rates in zip(z, velocity, actual, strict=True):
        expected = jvp(lambda z: value(z, functions), (image,), (v,))[1]
        torch.testing.assert_close(rates, expected, rtol=1e-10, atol=1e-12)


def test_sums_over_parts_of_the_images_add_up():
    z, field = draws(6, 1, 8, 8), Library((1, 8, 8), 2)
    functions = LocalFunctions.of(z, 20)
    whole = moments(z, field.theta, functions).sums()
    parts = [moments(part, field.theta, functions).sums() for part in z.split([1, 5])]
    added = Sums(*map(sum, zip(*parts, strict=True)))
    assert added.states == whole.states == 6
    torch.testing.assert_close(added.tested, whole.tested)
    torch.testing.assert_close(added.gram, whole.gram)


def test_the_rotation_of_two_channels_keeps_white_noise():
    """Its moments vanish, those of decay do not: 4 standard errors, seed 0."""
    z = draws(200, 2, 16, 16)
    field = Library((2, 16, 16), 1, operators=[])
    sample = ImageSample(z, field.theta)
    h = sample.moments(LocalFunctions.of(z, 40)).blocks.mean(1)
    names = field.terms.names(field.variables)
    u, v = (h[:, :, names.index(name)] for name in "uv")
    rotation, decay = v[..., 0] - u[..., 1], u[..., 0] + v[..., 1]
    for rate, vanishes in ((rotation, True), (decay, False)):
        error = rate.std(0) / len(rate) ** 0.5
        assert bool((rate.mean(0).abs() < 4 * error).all()) is vanishes


@pytest.mark.parametrize(("copies", "expected"), [(1, 1.0), (5, 5.0)])
def test_the_inflation_of_equal_rows_is_their_number(copies, expected):
    rows = 3 + draws(2000, 6).repeat_interleave(copies, 0)
    labels = torch.arange(2000).repeat_interleave(copies)
    assert inflation(rows, labels) == pytest.approx(expected, rel=0.05)


def quadratic(seed: int, size: int = 7) -> Quadratic:
    root = draws(size, size + 2, seed=seed)
    return Quadratic(draws(size, seed=seed + 100), root @ root.T / size)


def price_of(model: Quadratic, kept: torch.Tensor, price: float) -> float:
    return model.rise(~kept) + price * int(kept.sum())


def test_the_quadratic_model_leads_from_nearby_to_the_minimum():
    """Nine tenths of what the statistic is above its least value go in one step."""
    z = draws(2000, 2)
    form = WeakForm(z, Polynomial(2, 2)(z), FourierFunctions.of(z, 60))
    minimum = minimise(form, form.normalised(draws(12, seed=1)), steps=40, tolerance=1e-6)
    moved = replace(minimum, xi=minimum.xi + 0.03 * draws(12, seed=2))

    def excess(xi: torch.Tensor) -> float:
        return minimise(form, xi, steps=0).statistic - minimum.statistic

    assert excess(moved.xi) > 1
    assert excess(Quadratic.around(form, moved).centre) < 0.1 * excess(moved.xi)


@pytest.mark.parametrize("seed", range(10))
def test_a_move_costs_what_the_new_support_does(seed):
    model, price = quadratic(seed), 0.7
    kept = torch.tensor([True, False, True, True, False, True, False])
    moves, now = model._moves(kept, price), price_of(model, kept, price)
    for out, back in product(range(8), repeat=2):
        if moves[out, back].isfinite():
            after = kept.clone()
            for k in (out, back):
                if k < 7:
                    after[k] = ~after[k]
            expected = price_of(model, after, price) - now
            assert moves[out, back].item() == pytest.approx(expected, abs=1e-9)


def test_searches_mostly_end_at_the_best_of_all_supports():
    """Of 20 problems with correlated unknowns."""
    hits = 0
    for seed in range(20):
        model, price = quadratic(seed), 0.5
        masks = [torch.tensor(m) for m in product([True, False], repeat=7) if any(m)]
        best = min(price_of(model, mask, price) for mask in masks)
        single = [torch.arange(7) == k for k in range(7)]
        ends = [model.search(kept, price) for kept in (torch.ones(7).bool(), *single)]
        hits += min(price_of(model, end, price) for end in ends) < best + 1e-9
    assert hits >= 19


def test_operators_multiply_waves_by_their_symbols():
    k, h = 2 * np.pi * 3 / 16, 0.5
    wave = (k * torch.arange(16).double()).cos().expand(1, 1, 8, 16)
    values = Operators(1, ["lap", "bilap", "dx", "dy"], spacing=h)(wave)[0]
    symbol = (2 * np.cos(k) - 2) / h**2
    torch.testing.assert_close(values[0], symbol * wave[0, 0])
    torch.testing.assert_close(values[1], symbol**2 * wave[0, 0])
    slope = -np.sin(k) / h * (k * torch.arange(16).double()).sin()
    torch.testing.assert_close(values[2], slope.expand(8, 16))
    torch.testing.assert_close(values[3], torch.zeros(8, 16).double())


def test_the_terms_of_an_image_are_read_as_a_partial_differential_equation():
    field = Library((2, 8, 8), 1, operators=["lap", "dx"], coupling=1)
    names = field.terms.names(field.variables)
    assert names[:5] == ["1", "u", "v", "lap(u)", "lap(v)"]
    x = draws(1, 2, 8, 8)
    (u, v), values = x[0], dict(zip(names, field.terms(x)[0], strict=True))
    torch.testing.assert_close(values["u lap(v)"], u * laplacian(v))
    torch.testing.assert_close(values["v lap(u)"], v * laplacian(u))
    torch.testing.assert_close(values["v dx(u)"], v * (u.roll(-1, -1) - u.roll(1, -1)) / 2)


@pytest.fixture(scope="module")
def chaos() -> torch.Tensor:
    schedule = Schedule(settle=3000)
    return GrayScott("chaos").sample(150, seed=0, grid=(64, 64), schedule=schedule).states


@pytest.fixture(scope="module")
def flow(chaos) -> eqflow.EquilibriumFlow:
    return discovered(chaos, 3)


def discovered(x: torch.Tensor, degree: int | str) -> eqflow.EquilibriumFlow:
    options = {"field": {"degree": degree}, "flow_training": {"functions": 200}}
    return eqflow.EquilibriumFlow("library", **options).fit(x)


@pytest.mark.slow
def test_chaotic_patterns_give_back_their_equations(chaos, flow):
    """Exactly the seven true terms; coefficients within 3 % up to the common factor, seed 0."""
    rows = flow.equations().rows()
    assert {name: {row.term for row in rows if row.equation == name} for name in TRUE} == TRUE
    values = {(row.equation[1], row.term): row.value for row in rows}
    truth = {
        ("u", "1"): 0.026,
        ("u", "u"): -0.026,
        ("u", "u v^2"): -1.0,
        ("u", "lap(u)"): 0.10,
        ("v", "v"): -0.077,
        ("v", "u v^2"): 1.0,
        ("v", "lap(v)"): 0.05,
    }
    rate = np.median([values[key] / truth[key] for key in truth])
    for key, true in truth.items():
        assert values[key] / rate == pytest.approx(true, rel=0.03)
    findings = flow.stationarity()
    assert findings.dimension == 1
    assert findings.oriented
    assert findings.escaped == 0
    assert not findings.reason


def test_a_linear_library_is_refused_by_patterns(chaos):
    units = Standardiser.of(chaos)
    field = Library((2, 64, 64), 1)
    z = units.standard(chaos).float()
    findings = Discovery(field, z, units, functions=100).run()
    assert findings.reason
    assert findings.p_value < 0.01


@pytest.mark.slow
def test_equations_of_images_are_saved_and_take_any_canvas(flow, chaos, tmp_path):
    flow.save(tmp_path / "flow")
    again, x = eqflow.load(tmp_path / "flow"), chaos[:2]
    wide = torch.cat([x, x], 3)
    torch.testing.assert_close(again.velocity(x), flow.velocity(x))
    torch.testing.assert_close(again.velocity(wide), torch.cat([flow.velocity(x)] * 2, 3))
    assert again.equations().text() == flow.equations().text()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"operators": ["curl"]}, "curl is unknown"),
        ({"spacing": 0.0}, "spacing=0.0"),
        ({"harmonics": 1}, "harmonics=1"),
        ({"expressions": ["x*y"]}, "found with images"),
    ],
)
def test_options_that_images_cannot_have_are_refused(arguments, named):
    with pytest.raises(InputError, match=named):
        Library((2, 8, 8), 2, **arguments)


def test_noise_of_images_cannot_be_corrected_for():
    with pytest.raises(InputError, match="vectors only"):
        eqflow.EquilibriumFlow("library", flow_training={"noise_std": 0.1}).fit(draws(20, 1, 8, 8))


@pytest.mark.slow
def test_the_degree_of_a_reaction_is_found(chaos):
    assert discovered(chaos, "auto").stationarity().degree == 3
