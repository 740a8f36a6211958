"""Measures of behaviour on films of objects that a script moves."""

import numpy as np
import pytest
import torch

from eqflow.errors import InputError
from eqflow.metrics.behaviour import (
    WHOLE,
    Motion,
    Templates,
    Tracks,
    behaviour,
    encounters,
    link,
    locate,
    pair_correlation,
)

WHITE = torch.ones(3)
BLUE, RED, GREEN = torch.tensor([[0.1, 0.3, 0.9], [0.9, 0.2, 0.1], [0.1, 0.6, 0.2]])
DOT, ARM, DISC = 2.5, 2.6, 4.5


def painted(image, dots, wrap=True):
    """An image of channels and alpha with soft-edged discs: (row, column, radius, colour) each."""
    height, width = image.shape[1:]
    y, x = torch.arange(height)[:, None], torch.arange(width)
    for row, column, radius, colour in dots:
        dy, dx = y - row, x - column
        if wrap:
            dy, dx = dy - height * (dy / height).round(), dx - width * (dx / width).round()
        cover = (radius + 0.5 - (dy**2 + dx**2).sqrt()).clamp(0, 1)
        colour = torch.cat([colour, torch.ones(1)])[: len(image), None, None]
        image = image * (1 - cover) + colour * cover
    return image


def two_dots(row, column, angle):
    """A blue dot, above at angle zero and on the left a quarter turn later, and a red one."""
    down, right = ARM * np.cos(angle), ARM * np.sin(angle)
    return [(row - down, column - right, DOT, BLUE), (row + down, column + right, DOT, RED)]


def disc(row, column, angle):
    return [(row, column, DISC, GREEN)]


def icon(shape):
    """The picture of a shape: colours that are not multiplied by alpha."""
    picture = painted(torch.zeros(4, 13, 13), shape(6, 6, 0))
    return torch.cat([picture[:3] / picture[3:].clamp(min=1e-6), picture[3:]])


DOTS, GREEN_DISC = icon(two_dots), icon(disc)


def frame(poses, side=64, shape=two_dots, noise=0.0):
    dots = [dot for pose in poses for dot in shape(*pose)]
    image = painted(torch.ones(3, side, side), dots)
    return image + noise * torch.randn(image.shape)


def tracked(films, noise=0.0, **options):
    """Tracks of a film, given as poses in each frame."""
    film = torch.stack([frame(poses, noise=noise, **options) for poses in films])
    return link(locate(film, [DOTS], WHITE))


def tracks_of(position, side=64, radius=3.0):
    """Tracks of whole discs."""
    nothing = np.full(position.shape[:2], np.nan)
    return Tracks(
        position, nothing, np.where(np.isnan(position[..., 0]), np.nan, 1.0), (side,) * 2, radius
    )


def lattice(n, side, jitter=0.0, seed=0):
    """``n * n`` places, none close to another."""
    middles = (np.arange(n) + 0.5) * side / n
    places = np.stack(np.meshgrid(middles, middles, indexing="ij"), -1).reshape(-1, 2)
    return places + jitter * np.random.default_rng(seed).uniform(-1, 1, places.shape)


def poses(places, angles):
    return np.concatenate([places, np.reshape(angles, (-1, 1))], 1)


def off(a, b, period):
    return np.abs((a - b + period / 2) % period - period / 2)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_objects_are_located_between_pixels_and_turned_as_they_are(noise):
    places = lattice(4, 72, jitter=3)
    places[0] = 71.8, 0.3  # across both seams
    angles = np.random.default_rng(1).uniform(0, 2 * np.pi, len(places))
    found = locate(frame(poses(places, angles), 72, noise=noise)[None], [DOTS], WHITE)
    assert len(found.position) == len(places)
    apart = np.linalg.norm(off(found.position[:, None], places, 72), axis=-1)
    truth = apart.argmin(1)
    assert sorted(truth) == list(range(len(places)))
    assert apart.min(1).max() < 0.3
    assert np.rad2deg(off(found.angle, angles[truth], 2 * np.pi)).max() < 5
    assert found.match.min() >= WHOLE


def test_icons_are_told_apart_and_a_disc_has_no_angle():
    places = lattice(3, 64)
    dots = [
        dot for k, (x, y) in enumerate(places) for dot in (disc if k % 2 else two_dots)(x, y, k)
    ]
    found = locate(painted(torch.ones(3, 64, 64), dots)[None], [DOTS, GREEN_DISC], WHITE)
    nearest = np.linalg.norm(found.position[:, None] - places, axis=-1).argmin(1)
    assert sorted(nearest) == list(range(9))
    assert (found.species == nearest % 2).all()
    assert (np.isnan(found.angle) == (nearest % 2 == 1)).all()


def test_symmetries_of_icons_are_found():
    def periods(shape):
        return Templates.of(icon(shape), WHITE).period

    def around(n):
        turns = 2 * np.pi * np.arange(n) / n
        return lambda row, column, _: [
            (row + 4 * np.cos(a), column + 4 * np.sin(a), 1.5, BLUE) for a in turns
        ]

    assert periods(disc) == 0
    assert periods(two_dots) == pytest.approx(2 * np.pi)
    for n in (2, 3, 4):
        assert periods(around(n)) == pytest.approx(2 * np.pi / n)


def test_an_icon_that_looks_like_the_background_is_refused():
    with pytest.raises(InputError, match="background"):
        locate(torch.ones(1, 3, 32, 32), [torch.ones(4, 8, 8)], WHITE)


def deformed():
    mean = (BLUE + RED) / 2
    return {
        "half": lambda x, y, a: two_dots(x, y, a)[:1],
        "plain": lambda x, y, a: [(x, y, 3.5, mean)],
        "other colours": lambda x, y, a: [(*dot[:3], GREEN) for dot in two_dots(x, y, a)],
        "faded": lambda x, y, a: [(*d[:3], (1 + d[3]) / 2) for d in two_dots(x, y, a)],
        "merged": lambda x, y, a: [*two_dots(x, y, a), *two_dots(x + 2, y + 3, a + 2)],
    }


@pytest.mark.parametrize("kind", deformed())
def test_deformed_objects_are_counted_but_are_not_whole(kind):
    places = poses(lattice(3, 64, jitter=2), np.arange(9.0))
    found = locate(frame(places, shape=deformed()[kind], noise=0.05)[None], [DOTS], WHITE)
    assert len(found.match) == 9
    assert found.match.max() < WHOLE - 0.1


def test_icons_that_touch_make_no_further_one_between_them():
    row = [(20, 12 + 11.4 * k, np.pi / 2) for k in range(4)]
    found = locate(frame(row)[None], [DOTS], WHITE)
    assert len(found.match) == 4
    assert found.match.min() >= WHOLE


def test_straight_motion_across_the_seam():
    velocity, times = np.array([0.45, 1.0]), np.arange(40)
    start = lattice(2, 64) + np.array([3.3, 5.6])
    films = [poses(start + velocity * t, [0.3, 1.3, 2.3, 3.3]) for t in times]
    tracks = tracked(films, noise=0.05)
    motion = Motion(tracks, dt=0.5, lag=2.0)
    speed = np.hypot(*velocity) / 0.5
    assert tracks.seen.shape == (40, 4)
    assert tracks.seen.all()
    assert tracks.position[-1] - tracks.position[0] == pytest.approx(
        np.tile(velocity * 39, (4, 1)), abs=0.5
    )
    assert motion.speed == pytest.approx(speed, rel=0.05)
    assert motion.drift == pytest.approx(speed, rel=0.05)
    assert motion.displacement == pytest.approx(speed * 2.0, rel=0.05)
    assert motion.polar_order == pytest.approx(1, abs=0.05)
    assert motion.persists
    assert motion.persistence_time == pytest.approx(9.0, abs=0.51)  # half of what is seen
    squares = motion.mean_squared_displacement
    assert squares[20] / squares[10] == pytest.approx(4, rel=0.05)
    numbers = behaviour(motion, expected=8)
    assert numbers["density_ratio"] == 0.5
    assert numbers["persistent"] == numbers["whole"] == numbers["number_drift"] == 1


def test_diffusion():
    rng = np.random.default_rng(2)
    steps = rng.normal(0, 0.7, (50, 16, 2))
    path = lattice(4, 112) + steps.cumsum(0)
    tracks = tracked([poses(x, np.arange(16.0)) for x in path], side=112)
    motion = Motion(tracks, dt=0.25, lag=0.25)
    slope = 2 * 0.7**2 / 0.25  # 4 D
    squares, lags = motion.mean_squared_displacement, motion.lags
    assert tracks.seen.all()
    assert tracks.seen.shape[1] == 16
    assert squares[1] / lags[1] == pytest.approx(slope, rel=3 * (1 / (16 * 49)) ** 0.5)
    assert squares[8] / lags[8] == pytest.approx(slope, rel=3 * (8 / (16 * 49)) ** 0.5)
    assert not motion.persists
    assert motion.persistence_time < 1.5 * motion.dt
    assert motion.drift < 3 * motion.speed / (16 * 49) ** 0.5


@pytest.mark.parametrize("spread", [0.3, 1.0, np.inf])
def test_polar_order_of_flocks_and_of_independent_headings(spread):
    rng = np.random.default_rng(3)
    heading = rng.uniform(-np.pi, np.pi, 16) if spread == np.inf else rng.normal(1, spread, 16)
    way = np.stack([np.sin(heading), np.cos(heading)], 1)
    films = [poses(lattice(4, 112) + 0.5 * t * way, heading) for t in range(16)]
    motion = Motion(tracked(films, side=112, noise=0.05), dt=1.0, lag=4.0)
    assert motion.polar_order == pytest.approx(np.linalg.norm(way.mean(0)), abs=0.05)
    assert motion.speed == pytest.approx(0.5, rel=0.05)
    assert motion.chance_order == pytest.approx(np.sqrt(np.pi / 64))


def test_polar_order_by_chance_is_that_of_independent_directions():
    position = np.random.default_rng(4).normal(size=(2000, 12, 2)).cumsum(0)
    motion = Motion(tracks_of(position), dt=1.0, lag=1.0)
    assert motion.polar_order == pytest.approx(motion.chance_order, rel=0.03)


def test_a_velocity_that_turns_has_a_known_persistence_time():
    t = 0.1 * np.arange(200)[:, None]
    phase = t + np.array([0, 2, 4])
    circle = np.stack([np.cos(phase), np.sin(phase)], -1)
    motion = Motion(tracks_of(circle), dt=0.1, lag=0.1)
    assert motion.persistence_time == pytest.approx(np.arccos(np.exp(-1)), rel=1e-3)
    assert motion.autocorrelation[:80] == pytest.approx(np.cos(t[:80, 0]))


def test_two_objects_that_merge_are_one():
    def at(t):
        gap = max(30 - 0.9 * t, 0)
        pair = [(20, 32 - gap / 2, 0.0), (20, 32 + gap / 2, 0.0)]
        return [*(pair if gap > 9 else [(20, 32, 0.0)]), (48, 10 + 0.3 * t, 1.0)]

    films = [at(t) for t in range(40)]
    tracks = tracked(films)
    merged = next(t for t in range(40) if len(films[t]) == 2)
    assert tracks.number.tolist() == [len(film) for film in films]
    assert merged > 20
    numbers = behaviour(Motion(tracks, dt=1.0, lag=2.0), expected=3)
    assert numbers["persistent"] == pytest.approx(2 / 3)
    assert numbers["encounters"] == numbers["merge"] == 1


def test_objects_that_appear_and_vanish_are_counted_exactly():
    lives = [(0, 40), (0, 26), (8, 40), (30, 40)]
    places = lattice(2, 64)
    films = [
        [(*places[k], 0.5 + k) for k, (first, end) in enumerate(lives) if first <= t < end]
        for t in range(40)
    ]
    tracks = tracked(films, noise=0.05)
    assert tracks.number.tolist() == [len(film) for film in films]
    assert sorted(zip(*tracks.span.tolist(), strict=True)) == sorted((a, b - 1) for a, b in lives)
    numbers = behaviour(Motion(tracks, dt=1.0, lag=2.0), expected=4)
    assert numbers["persistent"] == pytest.approx(2 / 3)
    assert numbers["number"] == pytest.approx(np.mean([len(film) for film in films[20:]]))


@pytest.mark.parametrize(("lost", "tracks"), [(2, 1), (4, 2)])
def test_an_object_that_is_lost_for_a_moment_is_the_same(lost, tracks):
    films = [[(32, 30 + 0.5 * t, 0.0)] if not 5 <= t < 5 + lost else [] for t in range(14)]
    assert tracked(films).seen.shape[1] == tracks


def test_rotation_is_measured_through_full_turns():
    rates = np.array([0.35, 0.35, 0.35, -0.2])
    films = [poses(lattice(2, 64), rates * t) for t in range(30)]
    motion = Motion(tracked(films, noise=0.05), dt=0.5, lag=1.5)
    assert motion.rotation == pytest.approx(np.abs(rates).mean() / 0.5, rel=0.02)
    assert motion.net_rotation == pytest.approx(rates.mean() / 0.5, rel=0.02)


@pytest.mark.parametrize("frames", [1, 12])
def test_where_nothing_is_found_numbers_make_sense(frames):
    found = locate(torch.ones(frames, 3, 48, 48), [DOTS, GREEN_DISC], WHITE)
    motion = Motion(link(found), dt=1.0, lag=4.0)
    assert behaviour(motion, expected=5) == {"number": 0, "density_ratio": 0}
    assert np.isnan(motion.mean_squared_displacement).all()
    assert np.isnan(pair_correlation(motion.tracks)[1]).all()


def test_one_frame_has_number_and_wholeness_alone():
    tracks = tracked([poses(lattice(2, 64), np.arange(4.0))])
    numbers = behaviour(Motion(tracks, dt=1.0, lag=4.0), expected=4)
    assert numbers == {
        "number": 4, "density_ratio": 1, "whole": 1, "persistent": 1, "encounters": 0
    }  # fmt: skip


def test_pair_correlation_of_independent_objects_is_one_and_shows_a_core():
    rng = np.random.default_rng(5)
    free = rng.uniform(-64, 128, (200, 20, 2))  # also beyond the border: positions are unwrapped
    _, g = pair_correlation(tracks_of(free))
    assert g[8:] == pytest.approx(1, abs=0.15)
    grid = lattice(4, 64)[None] + rng.uniform(-2, 2, (200, 16, 2))
    r, g = pair_correlation(tracks_of(grid))
    assert (g[r < 11] == 0).all()
    assert 14 < r[g.argmax()] < 18
    assert r.max() < 32


def meeting(gap, across=0.0, start=0.0):
    """Two objects, ``gap(t)`` apart along one axis and ``across`` along the other."""
    path = np.zeros((len(gap), 2, 2))
    path[:, 0] = start
    path[:, 1] = start + np.stack([gap, across + 0 * gap], 1)
    return tracks_of(path)


@pytest.mark.parametrize(
    ("gap", "across", "outcome"),
    [
        (20 - 0.5 * np.arange(80.0), 0.5, "pass"),
        (20 - 0.5 * np.arange(80.0), 7.5, "pass"),  # a glance: it leaves where it came from
        (np.abs(15 - 0.5 * np.arange(80.0)) + 5, 0.5, "repel"),
        (np.maximum(20 - 0.5 * np.arange(80.0), 4), 0.5, "attract"),
        (20 - 0.5 * np.arange(26.0), 0.5, None),  # the film ends too soon
        (np.full(80, 4.0), 0.0, None),  # always together: they never met
        (20 - 0.1 * np.arange(80.0), 0.0, None),  # never close
    ],
)
@pytest.mark.parametrize("start", [0.0, 60.0])
def test_outcomes_of_encounters(gap, across, outcome, start):
    counts = encounters(meeting(gap, across, start), steps=2)
    assert counts == {name: int(name == outcome) for name in counts}


@pytest.mark.parametrize(("closest", "lost", "merged"), [(15, [1], 0), (5, [1], 1), (5, [0, 1], 0)])
def test_only_one_that_is_lost_close_to_another_that_lives_on_has_merged(closest, lost, merged):
    gap = 20 - 0.5 * np.arange(80.0)
    tracks = meeting(gap, 0.5)
    tracks.position[np.ix_(gap < closest, lost)] = np.nan
    tracks.match[np.ix_(gap < closest, lost)] = np.nan
    counts = encounters(tracks, steps=2)
    assert counts["merge"] == sum(counts.values()) == merged


def test_a_dense_crowd_is_linked():
    rng = np.random.default_rng(6)
    places = rng.uniform(0, 30, (250, 2))
    found = locate(torch.ones(3, 3, 32, 32), [DOTS], WHITE)
    crowd = type(found)(
        np.repeat(np.arange(3), 250),
        np.concatenate([places, places + 0.01, places]) % 32,
        np.zeros(750), np.zeros(750, int), np.ones(750), 3, (32, 32), 6.0, (2 * np.pi,),
    )  # fmt: skip
    assert link(crowd).seen.shape == (3, 250)
