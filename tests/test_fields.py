import pytest
import torch

from eqflow.errors import InputError
from eqflow.fields import Network, VelocityField, build_field
from eqflow.fields.families import FAMILIES
from eqflow.fields.linear import MinusX, ScoreMap, random_matrix, skew_matrix
from eqflow.score import EmpiricalScore, MLPScore

pytestmark = pytest.mark.usefixtures("double")

DRAWN = sorted(FAMILIES.keys() - {"library", "minus_x", "score"})


class Own(VelocityField):
    """A field given by a formula."""

    def __init__(self, shape, formula):
        super().__init__(shape)
        self.formula = formula

    def unscaled(self, x):
        return self.formula(x)


def score(dim=3):
    return MLPScore((dim,), width=8)


def states(n=500, dim=3):
    return 0.5 + torch.randn(n, dim)


def second_moment(v):
    return v.square().mean()


# the score, known already


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - {"library"}))
def test_a_field_takes_the_score_where_it_is_known(family):
    prior, x = score(), states(20)
    field = build_field(family, (3,), prior, 0.2).normalise_([x])
    torch.testing.assert_close(field.given(x, prior(x, 0.2)), field(x))


# scale


@pytest.mark.parametrize("fourier", [0, 5])
def test_a_network_is_centred_and_scaled_to_unit_speed(fourier):
    field, x = Network((3,), fourier=fourier), states()
    v = field.normalise_([x])(x)
    torch.testing.assert_close(v.mean(0), torch.zeros(3), rtol=0, atol=1e-12)
    assert second_moment(v).item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("family", ["skew", "random_linear", "score", "minus_x"])
def test_score_maps_and_decay_are_scaled_and_not_centred(family):
    field, x = build_field(family, (3,), score(), 0.2), states()
    v = field.normalise_([x])(x)
    assert second_moment(v).item() == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(v / field.unscaled(x), field.scale.expand_as(v))
    assert v.mean(0).abs().max() > 1e-3


def test_normalising_does_not_depend_on_how_the_states_are_split():
    x = states()
    fields = [Network((3,)), Network((3,))]
    fields[1].load_state_dict(fields[0].state_dict())
    whole, parts = (
        f.normalise_(iter(x.split(size))) for f, size in zip(fields, (500, 37), strict=True)
    )
    torch.testing.assert_close(whole(x), parts(x), rtol=1e-12, atol=1e-12)


def test_normalising_is_free_of_cancellation_in_float32():
    x = torch.randn(100_000, 1, dtype=torch.float32)
    field = Own((1,), lambda x: 300 + x).float().normalise_(iter(x.split(999)))
    assert field.scale.item() == pytest.approx(1 / x.double().std(correction=0).item(), rel=1e-6)


def test_normalising_twice_equals_once():
    field, x = Network((3,)), states()
    once = field.normalise_([x])(x)
    torch.testing.assert_close(field.normalise_([x])(x), once, rtol=0, atol=1e-14)


def test_scale_and_mean_are_those_of_the_states_it_was_given_and_stay():
    field = Network((3,)).normalise_([states()])
    x = states(20)
    alone = torch.cat([field.eval()(row[None]) for row in x])
    torch.testing.assert_close(field(x), alone, rtol=0, atol=1e-13)


def test_images_are_centred_channel_by_channel_and_scaled_as_a_whole():
    field, x = Own((2, 4, 4), lambda x: 7 * x.roll(1, -1) + 3), torch.randn(200, 2, 4, 4)
    v = field.normalise_(x.split(77))(x)
    torch.testing.assert_close(v.mean((0, 2, 3)), torch.zeros(2), rtol=0, atol=1e-12)
    assert second_moment(v).item() == pytest.approx(1, abs=1e-12)
    assert field(torch.randn(1, 2, 6, 8)).shape == (1, 2, 6, 8)


@pytest.mark.parametrize("formula", [torch.zeros_like, torch.ones_like, lambda x: x / 0])
def test_a_field_that_moves_nothing_cannot_be_normalised(formula):
    with pytest.raises(ValueError, match="no velocity"):
        Own((3,), formula).normalise_([states()])


# formulas


def test_a_score_map_is_the_matrix_times_the_score():
    points, matrix, x = torch.randn(9, 2, 3, 3), torch.randn(18, 18), torch.randn(4, 2, 3, 3)
    empirical = EmpiricalScore(points)
    field = ScoreMap((2, 3, 3), matrix, empirical, 0.8)
    expected = torch.einsum("ij,bj->bi", matrix, empirical(x, 0.8).flatten(1)).view(4, 2, 3, 3)
    torch.testing.assert_close(field(x), expected)


def test_minus_x_decays_to_the_mean():
    x = states()
    assert torch.equal(MinusX((3,))(x), -x)


def test_the_score_family_climbs_the_density():
    x, model = states(), score()
    torch.testing.assert_close(build_field("score", (3,), model, 0.2)(x), model(x, 0.2))


def test_fourier_features_carry_their_bandwidth():
    frequencies = Network((3,), fourier=4000, bandwidth=2.5).frequencies
    assert frequencies.std().item() == pytest.approx(2.5, rel=4 / (2 * 12_000) ** 0.5)


def test_a_fourier_field_without_its_linear_part_is_periodic():
    field, x = Network((1,), fourier=1, depth=2), torch.randn(6, 1)
    with torch.no_grad():
        field.network.hidden[0].weight[:, 0] = 0
    period = 2 * torch.pi / field.frequencies.item()
    torch.testing.assert_close(field(x + period), field(x), rtol=0, atol=1e-10)
    assert (field(x + period / 2) - field(x)).abs().max() > 1e-4


# registry


@pytest.mark.parametrize("family", DRAWN)
def test_a_field_is_a_function_of_its_seed(family):
    model, x = score(), states()
    first, again, other = (build_field(family, (3,), model, 0.2, seed)(x) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 1e-3


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_building_a_field_leaves_the_global_seed_alone(family):
    model, state = score(), torch.get_rng_state()
    build_field(family, (3,), model, 0.2, seed=5)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("family", ["netwrk", "torch.nn.Linear", ""])
def test_an_unknown_family_is_refused_by_name(family):
    with pytest.raises(InputError, match=rf"flow\.family={family} is unknown"):
        build_field(family, (3,), score(), 0.2)


def test_a_perceptron_refuses_grids():
    with pytest.raises(InputError, match=r"\(2, 8, 8\)"):
        Network((2, 8, 8))


@pytest.mark.parametrize("dim", [2, 3, 7])
def test_skew_matrices_are_antisymmetric_with_unit_entries(dim):
    matrices = torch.stack([skew_matrix(dim, seed) for seed in range(400)])
    assert torch.equal(matrices.mT, -matrices)
    upper = matrices[:, *torch.triu_indices(dim, dim, 1)]
    bound = 5 * (2 / upper.numel()) ** 0.5
    assert upper.square().mean().item() == pytest.approx(1, abs=bound)


def test_random_matrices_have_no_symmetry():
    matrix = random_matrix(4, 0)
    assert min((matrix - matrix.T).abs().max(), (matrix + matrix.T).abs().max()) > 0.1


def test_in_two_dimensions_all_skew_fields_are_parallel():
    model, x = score(2), states(dim=2)
    fields = [build_field("skew", (2,), model, 0.2, seed).normalise_([x]) for seed in range(5)]
    for field in fields[1:]:
        torch.testing.assert_close(field(x).abs(), fields[0](x).abs(), rtol=1e-12, atol=1e-12)


def test_a_three_dimensional_skew_field_conserves_a_linear_function():
    field, x = build_field("skew", (3,), score(), 0.2), states()
    axis = torch.linalg.svd(field.matrix).Vh[-1]
    assert (field(x) @ axis).abs().max() < 1e-13
