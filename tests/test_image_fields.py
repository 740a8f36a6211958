"""Fields of images on a periodic grid: antisymmetric kernels and isotropic networks."""

import pytest
import torch

from eqflow.data import Snapshots, Standardiser
from eqflow.errors import InputError
from eqflow.evaluation import Protocol, Reference, random_skew_similarity
from eqflow.fields import Network, build_field
from eqflow.fields.families import FAMILIES
from eqflow.fields.kernels import adjoint, random_kernel, skew_kernel
from eqflow.fields.linear import KernelMap
from eqflow.fields.network import IsotropicNetwork
from eqflow.nn.convolution import orbits
from eqflow.runtime import Draws, normal
from eqflow.score import Score
from eqflow.simulate import RK4, HeunSDE
from eqflow.stationarity import hutchinson, rademacher, strong_moments
from eqflow.stationarity.divergence import exact
from eqflow.training import Batch, FlowModule, flow_module

pytestmark = pytest.mark.usefixtures("double")

SIGMA = 0.24
SHAPE = (2, 6, 6)
IMAGES = sorted(FAMILIES.keys() - {"library", "stream"})


class Quartic(Score):
    """Gradient of a local energy with a quartic term in the state and its neighbours."""

    def forward(self, x, sigma):
        def energy(x):
            sums = x + x.roll(1, -1) - 0.5 * x.roll(1, -2) + 0.3 * x.flip(1)
            return x.square().sum() + sums.pow(4).sum()

        return -torch.func.grad(energy)(x)


class Twisted(Score):
    """No gradient of anything: channels push each other round."""

    def forward(self, x, sigma):
        return x.flip(1).sin() * torch.tensor([1.0, -1.0]).view(2, 1, 1) - x.roll(1, -1) ** 3


class White(Score):
    """Score of states that are nothing but the noise."""

    def forward(self, x, sigma):
        return -x / sigma**2


def symmetries(x):
    """The eight images of a batch under turns and mirrors."""
    return [torch.rot90(m, turns, (-2, -1)) for m in (x, x.flip(-1)) for turns in range(4)]


def dots(v, s):
    return (v * s).flatten(1).sum(1)


def skew(score=None, shape=SHAPE, **arguments):
    return build_field("skew", shape, score or Quartic(), SIGMA, **arguments)


# kernels

KERNELS = [{}, {"radius": 0}, {"radius": 2}, {"radius": 4}, {"radius": 2, "symmetric": True}]


@pytest.mark.parametrize("arguments", KERNELS)
@pytest.mark.parametrize("score", [Quartic(), Twisted()])
def test_a_skew_kernel_never_climbs_any_score(score, arguments):
    x = torch.randn(7, *SHAPE)
    s = score(x, SIGMA)
    v = skew(score, **arguments)(x)
    assert (dots(v, s).abs() / (v.norm() * s.norm())).max() < 1e-14


@pytest.mark.parametrize("arguments", KERNELS)
def test_a_skew_kernel_of_a_gradient_has_no_divergence(arguments):
    field, x = skew(**arguments), torch.randn(3, *SHAPE)
    jacobian = torch.stack([torch.func.jacrev(field)(row[None]).reshape(72, 72) for row in x])
    size = jacobian.flatten(1).norm(dim=1)
    assert (jacobian.diagonal(dim1=1, dim2=2).sum(1).abs() / size).max() < 1e-14
    torch.testing.assert_close(exact(field, x)[1] / size, torch.zeros(3), rtol=0, atol=1e-14)


def test_a_skew_kernel_of_what_is_no_gradient_has_a_divergence():
    assert exact(skew(Twisted()), torch.randn(3, *SHAPE))[1].abs().min() > 1e-2


def test_on_larger_grids_the_divergence_estimates_average_to_nothing():
    field, x = skew(radius=2), torch.randn(2, 2, 24, 20)
    probes = rademacher(x.expand(100, *x.shape), torch.Generator().manual_seed(0))
    estimates = hutchinson(field, x, probes)[1]
    assert (estimates.mean(0).abs() < 4 * estimates.std(0) / 10).all()


@pytest.mark.parametrize("arguments", KERNELS)
def test_a_skew_kernel_is_anti_hermitian_at_every_wave_vector(arguments):
    kernel = skew(**arguments).kernel
    spectrum = torch.fft.fft2(kernel, (16, 16))
    reach = kernel.shape[-1] // 2
    wave = 2 * torch.pi * torch.fft.fftfreq(16)
    spectrum = spectrum * torch.exp(1j * reach * (wave[:, None] + wave))  # the middle is offset 0
    torch.testing.assert_close(spectrum.transpose(0, 1).conj(), -spectrum, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 6, 9), (2, 3, 3), (2, 1, 1)])
def test_a_kernel_map_is_a_sum_of_rolled_scores_on_any_canvas(shape):
    field, x = skew(radius=2), torch.randn(4, *shape)
    s, kernel = Quartic()(x, SIGMA), field.kernel
    expected = sum(
        torch.einsum("ij,bjhw->bihw", kernel[:, :, a + 2, b + 2], s.roll((a, b), (2, 3)))
        for a in range(-2, 3)
        for b in range(-2, 3)
    )
    torch.testing.assert_close(field(x), expected)


def test_offsets_are_of_one_orbit_where_a_symmetry_relates_them():
    assert orbits(2).tolist() == [
        [5, 4, 3, 4, 5],
        [4, 2, 1, 2, 4],
        [3, 1, 0, 1, 3],
        [4, 2, 1, 2, 4],
        [5, 4, 3, 4, 5],
    ]


@pytest.mark.parametrize("family", ["skew", "random_linear"])
def test_symmetric_kernels_commute_with_turns_mirrors_and_rolls(family):
    field = build_field(family, SHAPE, White(), SIGMA, radius=2, symmetric=True)
    x = torch.randn(3, *SHAPE)
    for image, expected in zip(symmetries(x), symmetries(field(x)), strict=True):
        torch.testing.assert_close(field(image), expected)
    torch.testing.assert_close(field(x.roll((2, 5), (2, 3))), field(x).roll((2, 5), (2, 3)))


def test_other_kernels_have_a_direction():
    field, x = skew(White()), torch.randn(1, *SHAPE)
    changes = [field(a) - b for a, b in zip(symmetries(x), symmetries(field(x)), strict=True)]
    assert all(change.abs().max() > 0.1 for change in changes[1:])


def test_entries_of_drawn_kernels_have_unit_variance():
    for draw in (random_kernel, skew_kernel):
        kernels = torch.stack([draw(3, seed, 1) for seed in range(200)])
        bound = 5 * (2 / kernels.numel()) ** 0.5 * 2**0.5
        assert kernels.square().mean().item() == pytest.approx(1, abs=bound + 0.02)


def test_a_matrix_is_the_kernel_of_one_pixel():
    x = torch.randn(5, 2)
    vector = build_field("skew", (2,), White(), SIGMA, seed=3)
    image = build_field("skew", (2, 1, 1), White(), SIGMA, seed=3, radius=0)
    assert torch.equal(image(x[:, :, None, None])[:, :, 0, 0], vector(x))


def test_a_given_kernel_is_the_one_used():
    kernel = skew_kernel(2, 5, 2)
    assert torch.equal(skew(kernel=kernel.tolist()).kernel, kernel)
    matrix = [[0, 2.5], [-2.5, 0]]
    assert skew(kernel=matrix).kernel[:, :, 0, 0].tolist() == matrix
    assert skew(shape=(2,), kernel=matrix).matrix.tolist() == matrix


def ring(value):
    """A matrix at the four nearest neighbours."""
    return [[[[0, x, 0], [x, 0, x], [0, x, 0]] for x in row] for row in ((0, value), (-value, 0))]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"kernel": [[0, 1], [1, 0]]}, r"not antisymmetric.*reaches 2 beside entries up to 1"),
        ({"kernel": skew_kernel(2, 0).abs().tolist()}, "not antisymmetric"),
        ({"kernel": skew_kernel(2, 0).tolist(), "symmetric": True}, "not symmetric"),
        ({"kernel": [[0, float("nan")], [1, 0]]}, "not antisymmetric"),
        ({"kernel": [[0, 1], [1]]}, r"kernel.*nested lists of shape \(2, 2, side, side\)"),
        ({"kernel": torch.zeros(2, 2, 2, 2).tolist()}, r"shape \(2, 2, 2, 2\).*odd side"),
        ({"kernel": torch.zeros(2, 2, 3, 3).tolist()}, "is zero"),
        ({"kernel": ring(1.0), "radius": 2}, "side 3 found beside radius=2"),
        ({"radius": -1}, "radius=-1"),
        ({"shape": (1, 6, 6), "symmetric": True}, "1 channel and radius 1 is zero"),
        ({"shape": (1, 6, 6), "radius": 0}, "1 channel and radius 0 is zero"),
        ({"shape": (3,), "radius": 1}, "radius=1.*vectors"),
        ({"shape": (3,), "symmetric": True}, "symmetric=True.*vectors"),
        ({"shape": (2,), "kernel": ring(1.0)}, "side 3 found beside radius=0"),
        ({"shape": (2, 6)}, r"shape \(C, H, W\).*\(2, 6\)"),
    ],
)
def test_wrong_kernels_are_refused(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        skew(**arguments)


def test_a_symmetric_given_kernel_is_accepted():
    assert skew(kernel=ring(1.0), symmetric=True).radius == 1


def test_one_channel_turns_by_its_neighbours():
    x = torch.randn(4, 1, 6, 6)
    assert skew(White(), shape=(1, 6, 6))(x).abs().min() > 0


def test_kernels_are_antisymmetric_to_the_last_bit():
    for seed in range(20):
        kernel = skew_kernel(3, seed, 2, symmetric=bool(seed % 2))
        assert torch.equal(adjoint(kernel), -kernel)


# the step


def test_the_fastest_mode_is_that_of_the_fourier_transform():
    field = skew(White(), radius=2)
    wave = torch.zeros(1, 2, 64, 64)
    wave[:, :, 0, 0] = 1  # all wave vectors of a fine canvas
    columns = [field(wave * torch.eye(2)[i].view(2, 1, 1)) for i in range(2)]
    rates = torch.fft.fft2(torch.cat(columns)).permute(2, 3, 1, 0)
    largest = torch.linalg.matrix_norm(rates, ord=2).max().item()
    assert field.fastest == pytest.approx(largest, rel=0.01)
    assert field.longest_step == 0.5 / field.fastest


def test_the_fastest_mode_follows_the_scale():
    field = skew(White())
    slow = field.fastest
    field.scale.mul_(3)
    assert field.fastest == pytest.approx(3 * slow)


@pytest.mark.parametrize(("times", "stays"), [(1, True), (4, False)])
def test_states_stay_at_the_longest_step_and_leave_at_four_times_that(times, stays):
    x = SIGMA * torch.randn(16, 2, 16, 16)
    field = skew(White(), radius=3).normalise_([x])
    integrator = HeunSDE(dt=times * field.longest_step)
    path = integrator(
        field,
        x,
        torch.tensor([0.0, 10.0]),
        lambda x: -x / SIGMA**2,
        lambda step: normal(x, len(x), 0, Draws.SIMULATION, step),
    )
    spread = path[1].square().mean().sqrt().item() / SIGMA
    assert (spread < 1.2) == stays


def test_integrators_take_the_longest_step():
    field = skew(White(), radius=3).normalise_([SIGMA * torch.randn(50, *SHAPE)])
    integrator = HeunSDE(dt=0.05)
    limited = integrator.limited(field.longest_step)
    assert limited.dt == field.longest_step < integrator.dt == 0.05
    assert integrator.limited(build_field("minus_x", SHAPE, White(), SIGMA).longest_step).dt == 0.05


# networks


def test_a_network_commutes_with_rolls_turns_and_mirrors():
    field, x = IsotropicNetwork(SHAPE), torch.randn(3, *SHAPE)
    for image, expected in zip(symmetries(x), symmetries(field(x)), strict=True):
        torch.testing.assert_close(field(image), expected)
    torch.testing.assert_close(field(x.roll((4, 3), (2, 3))), field(x).roll((4, 3), (2, 3)))


def test_a_network_sees_a_neighbour_further_for_each_layer():
    field, x = IsotropicNetwork((2, 16, 16), depth=3), torch.randn(1, 2, 16, 16)
    other = x.clone()
    other[..., 0, 0] += 1
    rows, columns = (field(other) - field(x)).abs().sum((0, 1)).nonzero().T
    reached = {-4, -3, -2, -1, 0, 1, 2, 3, 4}
    assert {(r + 8) % 16 - 8 for r in rows.tolist()} == reached
    assert {(c + 8) % 16 - 8 for c in columns.tolist()} == reached


def test_a_repeated_canvas_has_the_repeated_velocity():
    field, x = IsotropicNetwork(SHAPE), torch.randn(2, *SHAPE)
    torch.testing.assert_close(field(x.repeat(1, 1, 2, 3)), field(x).repeat(1, 1, 2, 3))


def test_a_networks_strong_form_is_unbiased_with_two_probes():
    field, x = IsotropicNetwork(SHAPE, width=4, depth=1), torch.randn(4, *SHAPE)
    s = Quartic()(x, SIGMA)
    r2, v2 = strong_moments(field, x, s)
    many = [t.repeat(500, 1, 1, 1) for t in (x, s)]
    probes = rademacher(x.new_empty(2, *many[0].shape), torch.Generator().manual_seed(0))
    estimates, speeds = (t.view(500, 4) for t in strong_moments(field, *many, probes))
    torch.testing.assert_close(speeds[0], v2)
    error = estimates.std(0) / 500**0.5
    assert ((estimates.mean(0) - r2).abs() < 4 * error).all()


def test_training_takes_the_divergence_that_images_can_afford():
    assert FlowModule(IsotropicNetwork(SHAPE), White()).divergence == "exact"
    assert FlowModule(IsotropicNetwork((2, 16, 16)), White()).divergence == "hutchinson"
    with pytest.raises(InputError, match="d = 512"):
        FlowModule(IsotropicNetwork((2, 16, 16)), White(), divergence="exact")


def test_a_change_of_brightness_as_a_whole_counts_for_nothing_in_training():
    field, states = IsotropicNetwork(SHAPE), torch.randn(8, *SHAPE)
    module, batch = FlowModule(field, Quartic(), SIGMA), Batch(states, 8)
    before = module.loss(batch, 0)
    with torch.no_grad():
        field.layers[-1].bias.add_(torch.tensor([5.0, -3.0]))
    torch.testing.assert_close(module.loss(batch, 0), before)


def test_training_lowers_the_residual_of_an_image_network():
    field, states = IsotropicNetwork((2, 8, 8), width=8, depth=1), torch.zeros(64, 2, 8, 8)
    module = FlowModule(field, White(), SIGMA, divergence="hutchinson", evenness=0.0)
    optimizer = torch.optim.Adam(field.parameters(), 0.02)
    before = module.loss(Batch(states, 64), 1000).item()
    for step in range(60):
        optimizer.zero_grad()
        module.loss(Batch(states[:16], 16), step).backward()
        optimizer.step()
    assert module.loss(Batch(states, 64), 1000).item() < 0.3 * before


def test_the_weak_form_is_refused_for_images():
    with pytest.raises(InputError, match=r"condition=weak.*images of shape \(2, 6, 6\)"):
        flow_module(IsotropicNetwork(SHAPE), White(), torch.randn(9, *SHAPE), condition="weak")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"fourier": 5}, r"fourier=5.*images"),
        ({"width": 0}, "width=0"),
        ({"shape": (2, 6)}, r"images of shape \(C, H, W\), found snapshots of shape \(2, 6\)"),
    ],
)
def test_wrong_networks_are_refused(arguments, sentence):
    arguments = {"shape": SHAPE} | arguments
    with pytest.raises(InputError, match=sentence):
        build_field("network", arguments.pop("shape"), White(), SIGMA, **arguments)


def test_the_size_of_a_network_follows_the_shape_and_the_word_of_the_user():
    image, vector = (build_field("network", shape, White(), SIGMA) for shape in (SHAPE, (3,)))
    assert isinstance(image, IsotropicNetwork)
    assert isinstance(vector, Network)
    wide = build_field("random", SHAPE, White(), SIGMA, width=5, depth=2)
    assert [tuple(layer.weight.shape[:2]) for layer in wide.layers] == [(5, 2), (5, 5), (2, 5)]


# families


@pytest.mark.parametrize("family", IMAGES)
def test_every_family_is_one_of_images_of_any_canvas(family):
    field = build_field(family, SHAPE, Quartic(), SIGMA)
    x = torch.randn(6, *SHAPE)
    v = field.normalise_([x])(x)
    assert v.square().mean().item() == pytest.approx(1)
    assert field(torch.randn(2, 2, 7, 12)).shape == (2, 2, 7, 12)


def test_the_score_family_of_images_is_the_score():
    x = torch.randn(3, *SHAPE)
    field = build_field("score", SHAPE, Quartic(), SIGMA)
    torch.testing.assert_close(field(x), Quartic()(x, SIGMA))
    assert isinstance(field, KernelMap)


def test_ten_random_skew_kernels_are_compared_with_the_truth():
    states = torch.randn(40, *SHAPE)
    units = Standardiser(torch.zeros(2, 1, 1), torch.ones(2, 1, 1))
    snapshots = Snapshots(states, states, states, units, velocity=lambda x: x.roll(1, -1))
    reference = Reference(snapshots, SIGMA, Protocol(starts=10, displaced=0))
    found = random_skew_similarity(White(), reference, RK4(), radius=2)
    assert 0 < found["truth/cos"] < 0.5
    assert found["truth/cos_std"] > 0
