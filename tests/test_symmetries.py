"""Known symmetries: exact generators, their test, and equations beside them."""

from dataclasses import replace

import pytest
import torch

from data_modules.planar import Ring
from eqflow.data import Standardiser, split
from eqflow.discovery import Discovery, Findings
from eqflow.discovery.gmm import minimise
from eqflow.discovery.initial import initial_fields
from eqflow.discovery.subsets import Quadratic
from eqflow.discovery.symmetries import generators, orthogonal
from eqflow.evaluation import ComparedField, Protocol, Reference
from eqflow.fields import Library
from eqflow.report.equations import FittedEquations
from eqflow.stationarity import FourierFunctions, WeakForm
from eqflow.stationarity.images.functions import LocalFunctions
from eqflow.systems import GrayScott, Schedule
from eqflow.terms import Operators, Polynomial, laplacian

TRANSLATIONS = ["translation along x", "translation along y"]


def normal(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def waves(n: int, channels: int, side: int = 16, seed: int = 0) -> torch.Tensor:
    """Gaussian fields, smooth, distributed alike at every place and under reflection."""
    k = torch.fft.fftfreq(side).double() * side
    size = torch.exp(-(k[:, None] ** 2 + k**2) / 18)
    x = torch.fft.ifft2(torch.fft.fft2(normal(n, channels, side, side, seed=seed)) * size).real
    return x / x.std()


def discover(x: torch.Tensor, degree: int | str = 1, **options) -> tuple[Library, Findings]:
    units, field = Standardiser.of(x), Library(tuple(x.shape[1:]), degree, **options)
    return field, Discovery(field, units.standard(x), units, functions=100).run()


def slope(x: torch.Tensor, axis: int) -> torch.Tensor:
    return (x.roll(-1, axis) - x.roll(1, axis)) / 2


def test_generators_are_the_motions_themselves():
    """Translations of standardised images; a rotation that leaves their second moments alone."""
    x = 3 + torch.einsum("nchw,cd->ndhw", waves(20, 2, 8), normal(2, 2, seed=1))
    units, terms = Standardiser.of(x), Polynomial(2, 2) + Operators(2, ["lap", "dx", "dy"])
    z = units.standard(x)
    rows = z.transpose(0, 1).flatten(1)
    parts = (units.mean.flatten(), units.std.flatten(), torch.cov(rows))
    along_x, along_y, turn = generators(terms, ["u", "v"], *parts)
    assert [along_x.name, along_y.name, turn.name] == [*TRANSLATIONS, "rotation of u and v"]
    values = terms(units.raw(z))

    def velocity(generator):
        return torch.einsum("nahw,ac->nchw", values, generator.coefficients)

    torch.testing.assert_close(velocity(along_x), slope(z, -1))
    torch.testing.assert_close(velocity(along_y), slope(z, -2))
    v = velocity(turn).transpose(0, 1).flatten(1)
    torch.testing.assert_close(v.mean(1), torch.zeros(2).double(), rtol=0, atol=1e-12)
    changed = v @ rows.T + rows @ v.T
    torch.testing.assert_close(changed / rows.shape[1], torch.zeros(2, 2).double())
    assert len(generators(Polynomial(2, 1), ["x", "y"], *parts)) == 1
    assert not generators(Operators(2, ["lap"]), ["u", "v"], *parts)


def test_fields_less_their_projections_are_orthogonal():
    z = normal(500, 2)
    form = WeakForm(z, Polynomial(2, 2)(z), FourierFunctions.of(z, 20))
    fields, others = normal(3, 12, seed=1), normal(12, 2, seed=2)
    left = orthogonal(form, fields, others)
    zero = torch.zeros(3, 2).double()
    torch.testing.assert_close(left @ form.metric @ others, zero, rtol=0, atol=1e-10)
    torch.testing.assert_close(orthogonal(form, left, others), left)


def test_a_search_never_puts_a_pivot_back():
    z = normal(2000, 2)
    form = WeakForm(z, Polynomial(2, 2)(z), FourierFunctions.of(z, 60))
    pivots = torch.tensor([3, 4])
    free = torch.tensor([k for k in range(12) if k not in pivots])
    start = initial_fields(form)[0].index_fill(0, pivots, 0)
    model = Quadratic.around(form, minimise(form, start, free), pivots)
    everything = torch.ones(12, dtype=torch.bool)
    for kept in (everything, torch.arange(12) == 7):
        assert not model.search(kept, 0.5)[pivots].any()
    assert model.rise(torch.isin(torch.arange(12), pivots)) < 1e-12


def test_only_directed_functions_see_fields_that_a_reflection_reverses():
    """``v`` is a function of ``u``: moving ``u`` alone breaks that. 5 standard errors, seed 0."""
    u = waves(200, 1)
    z = torch.cat([u, (u**2 - 1) / 2**0.5], 1)
    velocity = torch.cat([slope(u, -1), 0 * u], 1)
    for directed in (False, True):
        h = LocalFunctions.of(z, 60, directed=directed).moments(velocity, z)
        seen = h.mean(0).abs() > 5 * h.std(0) / len(h) ** 0.5
        assert bool(seen.any()) is directed


def test_translations_are_all_that_keeps_a_gaussian_field():
    _, findings = discover(waves(80, 1), operators=["lap", "dx", "dy"])
    assert findings.symmetries == TRANSLATIONS
    assert findings.dimension == 2
    assert not findings.modulo_symmetries
    assert findings.reason.endswith(
        "the translation along x and the translation along y among them"
    )


def test_the_free_schroedinger_equation_is_found_beside_the_phase():
    """``psi_t = i lap psi`` keeps a complex Gaussian field; given orthogonal to ``i psi``."""
    x = waves(100, 2)
    field, findings = discover(x, operators=["lap"])
    assert findings.symmetries == ["rotation of u and v"]
    assert findings.dimension == 2
    assert findings.reason == findings.rungs["moving"] != ""  # it conserves what a wave is made of
    assert "the field shown is orthogonal to them" in findings.note
    z = field.standardiser.standard(x)
    v, phase = field(z), torch.stack([-z[:, 1], z[:, 0]], 1)
    truth = torch.stack([-laplacian(z[:, 1]), laplacian(z[:, 0])], 1)
    truth -= phase * (truth * phase).sum() / phase.square().sum()
    assert cosine(v, truth) > 0.99
    assert cosine(v, phase) < 0.05


def cosine(v: torch.Tensor, w: torch.Tensor) -> float:
    return abs(float((v * w).sum() / (v.norm() * w.norm())))


def test_the_equations_of_a_ring_are_its_rotation():
    x = Ring.draw(2000, torch.Generator().manual_seed(0)).double()
    _, findings = discover(x, "auto")
    assert findings.symmetries == ["rotation of x and y"]
    assert (findings.degree, findings.dimension) == (1, 1)
    assert findings.reason == findings.rungs["moving"] != ""
    assert "a symmetry of the distribution: the rotation of x and y" in findings.note
    assert findings.numbers()["spectrum/symmetries"] == 1
    # a conserved radius makes of it as many solutions as there are terms for
    assert discover(x, 3)[1].reason.startswith("the fields that keep the distribution span 2")


def test_equations_beside_symmetries_have_one_dimension_more():
    field, findings = discover(normal(300, 2))
    beside = replace(
        findings,
        **{"p_value": 0.5, "dimension": 3, "gap": 9.0, "direction": 1.0, "drift": 0.5},
        **{"symmetries": TRANSLATIONS, "modulo_symmetries": True},
        **{"divergence": -1.0, "oriented": True},
    )
    assert beside.reason == ""
    assert "the translation along x and the translation along y may be added" in beside.note
    reference = Reference(split(normal(300, 2), 20, 50), 0.0, Protocol())
    fitted = FittedEquations(ComparedField("own", "library", field, reference), beside)
    assert "only the translation along x and the translation along y keep" in fitted.verdict
    assert fitted.facts["symmetries"] == ", ".join(TRANSLATIONS)
    for other in (replace(beside, dimension=4), replace(beside, modulo_symmetries=False)):
        assert "span" in other.reason


@pytest.mark.slow
def test_chaotic_patterns_give_their_equations_and_the_translations():
    """Four of the terms are gradients: none is kept. Seed 0."""
    schedule = Schedule(settle=3000)
    system = GrayScott("chaos")
    x = system.sample(150, seed=0, grid=(64, 64), schedule=schedule).states
    field, findings = discover(x, 3, operators=["lap", "dx", "dy"])
    assert findings.symmetries == TRANSLATIONS
    assert findings.dimension == 3
    names = field.terms.names(field.variables)
    gradients = [a for a, name in enumerate(names) if name.startswith("d")]
    assert len(gradients) == 4
    assert not field.coefficients[gradients].any()
    z = field.standardiser.standard(x)
    v, truth = field(z), system.velocity(x) / field.standardiser.std
    assert cosine(v, truth) > 0.99
    assert max(cosine(v, slope(z, axis)) for axis in (-1, -2)) < 0.05


def test_images_are_only_turned_where_that_keeps_them():
    """The second channel is a function of the first: turning them changes the distribution."""
    u = waves(60, 1)
    _, findings = discover(torch.cat([u, u**2], 1), operators=["lap"])
    assert findings.symmetries == []
