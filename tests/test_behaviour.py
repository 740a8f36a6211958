"""Measures of behaviour on films of objects that a script moves."""

import numpy as np
import pytest
import torch

from eqflow.errors import InputError
from eqflow.metrics.behaviour import (
    WHOLE,
    Templates,
    locate,
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
