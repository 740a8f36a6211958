"""Objects watched on a large canvas: the film, its null, the frames that a score is seen in."""

from dataclasses import replace

import pytest
import torch

from data_modules import Icons
from eqflow.errors import InputError
from eqflow.evaluation import Protocol, Reference, at_rest
from eqflow.evaluation.behaviour import expected_number, rest_behaviour, watched_behaviour
from eqflow.fields import VelocityField
from eqflow.icons import number_of_icons
from eqflow.score import InTurn, Score, frames
from eqflow.simulate import HeunSDE

SIGMA = 0.02
"""Little noise: the score of these tests does not denoise."""

GENTLE = HeunSDE(0.2, eta=1e-6)


class Flat(Score):
    """Score of a uniform density: nothing is drawn anywhere."""

    def forward(self, x, sigma):
        return torch.zeros_like(x)


class Blank(Score):
    """Score of the empty canvas alone: whatever the state, its denoiser returns that."""

    def __init__(self, colour):
        super().__init__()
        self.colour = colour

    def forward(self, x, sigma):
        return (self.colour - x) / sigma**2


class Rest(VelocityField):
    """A field that moves nothing."""

    def unscaled(self, x):
        return torch.zeros_like(x)


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))
    data = Icons(icon="taiji", size=12, canvas=32, n=16, val=2, test=8, cache_dir=cache)
    data.setup()
    return data.snapshots


def reference_of(snapshots, **protocol):
    chosen = {"behaviour": 4.0, "behaviour_canvas": 64, "behaviour_start": "data"} | protocol
    return Reference(snapshots, SIGMA, Protocol(behaviour_frames=21, **chosen))


def test_objects_that_nothing_moves_are_whole_and_stay(snapshots):
    reference = reference_of(snapshots)
    numbers = watched_behaviour(Rest(snapshots.shape), Flat(), reference, GENTLE)
    count = 4 * number_of_icons(snapshots.scene, (32, 32), 0.15)
    assert expected_number(reference) == count
    assert numbers["behaviour/number"] == count
    assert numbers["behaviour/whole"] == 1
    assert numbers["behaviour/persistent"] == 1
    assert numbers["behaviour/displacement"] < 0.1


def test_a_field_that_moves_nothing_is_restoring_noise_alone(snapshots):
    reference = reference_of(snapshots)
    field, flat = Rest(snapshots.shape), Flat()
    numbers = watched_behaviour(field, flat, reference, GENTLE)
    assert numbers.pop("behaviour/displacement_ratio") == 1
    assert numbers.pop("behaviour/rank_fastest") == numbers.pop("behaviour/rank_flocking") == 0
    rest = rest_behaviour(flat, reference, GENTLE)
    assert {f"null/rest/{name}": value for name, value in numbers.items()} == rest
    assert torch.equal(reference.watched[field].film, at_rest(flat, reference, GENTLE).film)


def test_fields_that_are_watched_alike_share_the_film_of_noise_alone(snapshots):
    score = Flat()
    first = at_rest(score, reference_of(snapshots), GENTLE)
    assert at_rest(score, reference_of(snapshots, horizons=[1], chaos=4), GENTLE) is first
    assert at_rest(score, reference_of(snapshots, seed=1), GENTLE) is not first


def test_a_film_starts_from_the_data_or_from_noise_as_asked(snapshots):
    data, noise = (
        at_rest(Flat(), reference_of(snapshots, behaviour_start=start), GENTLE).film[0]
        for start in ("data", "noise")
    )
    image = snapshots.standardiser.raw(snapshots.test[0]).float().tile(2, 2)
    torch.testing.assert_close(data, image, rtol=0, atol=0.05)
    assert (noise - image).abs().mean() > 0.1


def test_a_canvas_with_nothing_on_it_has_a_density_of_zero_and_no_motion(snapshots):
    background = snapshots.scene.background[None, :, None, None]
    blank = Blank(snapshots.standardiser.standard(background).float())
    numbers = watched_behaviour(Rest(snapshots.shape), blank, reference_of(snapshots), GENTLE)
    assert numbers.pop("behaviour/rank_fastest") == pytest.approx(0.7 + 0.9 + 0.8)
    assert numbers.pop("behaviour/rank_flocking") == pytest.approx(0.7 + 0.9 + 0.8)
    assert numbers == {"behaviour/number": 0, "behaviour/density_ratio": 0}


def test_a_field_that_diverges_leaves_a_film_and_numbers(snapshots):
    class Growing(VelocityField):
        def unscaled(self, x):
            return 1e3 * x

    reference, field = reference_of(snapshots, behaviour=40.0), Growing(snapshots.shape)
    numbers = watched_behaviour(field, Flat(), reference, GENTLE)
    assert reference.watched[field].film.isfinite().all()
    assert numbers["behaviour/density_ratio"] < 1


def test_only_images_of_icons_are_watched_and_only_if_asked(snapshots):
    unasked = reference_of(snapshots, behaviour=0.0)
    assert watched_behaviour(Rest(snapshots.shape), Flat(), unasked, GENTLE) == {}
    assert rest_behaviour(Flat(), unasked, GENTLE) == {}
    patterns = reference_of(replace(snapshots, scene=None))
    assert watched_behaviour(Rest(snapshots.shape), Flat(), patterns, GENTLE) == {}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"behaviour": -1.0}, "protocol.behaviour=-1.0"),
        ({"behaviour_frames": 20}, "behaviour_frames=20"),
        ({"behaviour_canvas": 126}, "protocol.behaviour_canvas=126"),
        ({"behaviour_start": "rest"}, "protocol.behaviour_start=rest"),
    ],
)
def test_wrong_options_are_named(options, named):
    with pytest.raises(InputError, match=named):
        Protocol(**options)


def test_in_turn_a_score_is_seen_once_in_every_frame_before_any_twice():
    x = torch.randn(1, 2, 8, 12)

    def biased(x):
        return torch.roll(x, 1, -1) * torch.arange(x.shape[-2])[:, None]

    seen = InTurn(biased, seed=3)
    total = sum(seen(x) for _ in range(128))
    every = sum(frame.back(biased(frame.into(x))) for frame in frames(128))
    torch.testing.assert_close(total, every, rtol=1e-4, atol=1e-3)
    again = InTurn(biased, seed=3)
    assert torch.equal(again(x), InTurn(biased, seed=3)(x))
    assert not torch.equal(InTurn(biased, seed=4)(x), InTurn(biased, seed=3)(x))
