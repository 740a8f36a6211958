"""Icons: their drawings and pictures, and the images in which they are scattered."""

import logging
from math import pi

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from scipy.stats import chisquare, kstest

from data_modules import Icons
from eqflow.cli.resume import user_files
from eqflow.errors import InputError
from eqflow.icons import DRAWINGS, Icon, Scene, icon, number_of_icons, scatter

ALPHA = 1e-4
CANVAS = (64, 48)
WHITE = torch.ones(3)


def scene(*names, size=16):
    return Scene([icon(name, size) for name in names], WHITE)


def numbered(n):
    return torch.arange(n)


def footprint(shape, centre, angle, canvas):
    """Pixels of a canvas that an icon covers, from its pose alone."""
    alpha = shape.rotated(angle)[3]
    corner = centre - (len(alpha) - 1) / 2
    places = ((alpha > 0).nonzero() + corner).round().long() % torch.tensor(canvas)
    mask = torch.zeros(canvas, dtype=torch.bool)
    mask[places[:, 0], places[:, 1]] = True
    assert mask.sum() == (alpha > 0).sum()
    return mask


def widened(mask):
    """A mask and the eight neighbours of its pixels on a periodic canvas."""
    shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return torch.stack([mask.roll(shift, (0, 1)) for shift in shifts]).any(0)


# icons


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_fills_its_size_and_has_the_same_area_at_any_size(name):
    for size in (8, 16, 17, 48):
        drawing = icon(name, size)
        assert drawing.image.shape == (4, size, size)
        seen = drawing.image[3] > 0.3
        assert max(seen.any(0).sum(), seen.any(1).sum()) >= size - 2  # feelers are thin
        assert abs(drawing.area / size**2 / (icon(name, 64).area / 64**2) - 1) < 0.06
        assert drawing.radius < size / 2 * 2**0.5


def test_the_area_of_a_dot_is_that_of_a_disc():
    assert abs(icon("blue_dot", 32).area - pi * 16**2) < 3


def test_edges_are_soft_and_colours_do_not_fade_there():
    image = icon("blue_dot", 16).image
    edge = (image[3] > 0) & (image[3] < 1)
    assert edge.sum() > 20
    colour = image[:3, 8, 8]
    torch.testing.assert_close(image[:3, edge], colour[:, None].expand(-1, int(edge.sum())))


def test_a_firefly_is_lit_behind_and_dark_in_front():
    image = icon("firefly", 16).image
    light = (image[:3].mean(0) * image[3]).sum(1)
    assert light[10:].sum() > 1.5 * light[:5].sum()
    assert (image.flip(1) - image).abs().mean() > 0.1  # head and tail differ
    torch.testing.assert_close(image.flip(2), image, rtol=0, atol=1e-5)  # left and right do not


@pytest.mark.parametrize("size", [16, 15])
@pytest.mark.parametrize("name", DRAWINGS)
def test_quarter_turns_are_exact_and_counter_clockwise(name, size):
    drawing = icon(name, size)
    still = drawing.rotated(0.0)
    margin = (still.shape[-1] - size) // 2
    inner = still[:, margin:-margin, margin:-margin]
    torch.testing.assert_close(inner[3], drawing.image[3], rtol=0, atol=1e-5)
    torch.testing.assert_close(inner[:3], drawing.image[:3] * drawing.image[3], rtol=0, atol=1e-5)
    for turns in (1, 2, 3):
        turned = drawing.rotated(turns * pi / 2)
        torch.testing.assert_close(turned, still.rot90(turns, (1, 2)), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", DRAWINGS)
def test_turning_keeps_area_and_sharpness(name):
    drawing = icon(name, 16)
    still = drawing.rotated(0.0)
    for angle in torch.linspace(0.1, 6.2, 17).tolist():
        turned = drawing.rotated(angle)
        assert abs(turned[3].sum() / drawing.area - 1) < 0.04
        assert (turned[:3] <= turned[3] + 1e-6).all()
        assert not turned[:, [0, -1]].any()
        assert not turned[:, :, [0, -1]].any()
        contrast = [image.square().sum() for image in (turned, still)]
        assert contrast[0] > 0.93 * contrast[1]


# pictures


def saved(tmp_path, pixels, mode=None):
    path = tmp_path / "bug.png"
    picture = Image.fromarray(np.asarray(pixels))
    (picture.convert(mode) if mode else picture).save(path)
    return str(path)


def blot(background, colour, side=40):
    """A rectangle of 20 x 10 with a hole in the colour of the background."""
    pixels = np.full((side, side, len(background)), background, np.uint8)
    pixels[10:30, 8:18] = colour
    pixels[18:22, 12:14] = background
    return pixels


def test_a_picture_is_trimmed_to_what_is_visible(tmp_path):
    path = saved(tmp_path, blot((0, 0, 0, 0), (200, 40, 0, 255)))
    bug = icon(path, 20)
    assert bug.name == "bug"
    assert bug.image.shape == (4, 20, 20)
    assert (bug.image[3] == 1).sum() == 20 * 10 - 8
    columns = (bug.image[3] > 0).any(0).nonzero()
    assert columns.tolist() == [[k] for k in range(5, 15)]  # in the middle of the square
    torch.testing.assert_close(bug.image[:3, 5, 7], torch.tensor([200, 40, 0]) / 255)
    assert abs(icon(path, 10).area - 48) < 2


def test_an_odd_width_is_centred_as_well(tmp_path):
    pixels = np.zeros((12, 12, 4), np.uint8)
    pixels[0:10, 2:9] = 255
    alpha = icon(saved(tmp_path, pixels), 10).image[3]
    torch.testing.assert_close(alpha.sum(0), alpha.sum(0).flip(0))
    assert abs(alpha.sum() - 70) < 1


def test_the_border_is_transparent_but_not_what_it_encloses(tmp_path, caplog):
    caplog.set_level(logging.INFO, "eqflow")
    bug = icon(saved(tmp_path, blot((255, 255, 255), (200, 40, 0))), 20)
    assert bug.area == 20 * 10
    assert (bug.image[:3, 9, 9] == 1).all()
    assert caplog.messages == [
        f"data.icon={tmp_path / 'bug.png'}: nothing is transparent; the colour of the border is "
        "taken for it"
    ]


def test_a_picture_with_a_border_of_many_colours_is_all_icon(tmp_path, caplog):
    caplog.set_level(logging.INFO, "eqflow")
    pixels = np.random.default_rng(0).integers(0, 255, (12, 12, 3), np.uint8)
    bug = icon(saved(tmp_path, pixels), 12)
    assert bug.area == 144
    torch.testing.assert_close(bug.image[:3], torch.from_numpy(pixels / 255).float().movedim(-1, 0))
    assert "all of it is the icon" in caplog.text


@pytest.mark.parametrize("mode", ["P", "L", "LA", "1", "I;16"])
def test_palettes_and_greys_and_16_bits_are_read(tmp_path, mode):
    grey = blot((255,) * 3, (0,) * 3)
    pixels = grey[..., 0].astype(np.uint16) * 257 if mode == "I;16" else grey
    bug = icon(saved(tmp_path, pixels, None if mode == "I;16" else mode), 20)
    assert bug.area == 200
    assert bug.image[:3, 5, 5].max() == 0
    assert bug.image[:3, 9, 9].min() == 1


def test_a_grey_of_16_bits_is_scaled_and_not_clipped(tmp_path):
    pixels = np.full((20, 20), 65535, np.uint16)
    pixels[5:15, 5:15] = 32768
    middle = icon(saved(tmp_path, pixels), 10).image[:, 5, 5]
    torch.testing.assert_close(middle, torch.tensor([127, 127, 127, 255]) / 255)


@pytest.mark.parametrize("content", [b"no image", None])
def test_files_that_cannot_be_read_are_refused_by_name(tmp_path, content):
    path = tmp_path / "bug.png"
    if content is None:
        saved(tmp_path, np.random.default_rng(0).integers(0, 255, (64, 64, 4), np.uint8))
        content = path.read_bytes()[:300]
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"data\.icon={path}: .*; expected a PNG"):
        icon(str(path), 16)


@pytest.mark.parametrize("pixels", [np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3), np.uint8)])
def test_a_picture_without_an_icon_is_refused(tmp_path, pixels):
    with pytest.raises(InputError, match=r"bug\.png: nothing is to be seen in 16x16 pixels"):
        icon(saved(tmp_path, pixels), 16)


# images


@pytest.fixture(scope="module")
def fireflies():
    kinds = scene("firefly", "blue_red_dots")
    return kinds, scatter(kinds, numbered(40), CANVAS, 0.2)


def test_icons_are_a_pixel_or_more_apart_and_nothing_else_is_painted(fireflies):
    kinds, (images, centres, angles, numbers) = fireflies
    for k in range(len(images)):
        poses = zip(centres[k], angles[k], numbers[k], strict=True)
        masks = [footprint(kinds.icons[i], c, a.item(), CANVAS) for c, a, i in poses]
        wide = [widened(mask) for mask in masks]
        for first in range(len(masks)):
            for second in range(first):
                assert not (wide[first] & masks[second]).any()
        painted = (images[k] - WHITE[:, None, None]).abs().amax(0) > 1e-6
        assert not (painted & ~torch.stack(masks).any(0)).any()


def test_an_image_is_its_icons_over_the_background(fireflies):
    kinds, (images, centres, angles, numbers) = fireflies
    expected = torch.ones(3, *CANVAS)
    for centre, angle, kind in zip(centres[3], angles[3], numbers[3], strict=True):
        stamp = kinds.icons[kind].rotated(angle.item())
        rows, columns = (
            (torch.arange(stamp.shape[-1]) + (part - (stamp.shape[-1] - 1) / 2).round().long())
            % side
            for part, side in zip(centre, CANVAS, strict=True)
        )
        here = rows[:, None], columns[None, :]
        expected[:, *here] = expected[:, *here] * (1 - stamp[3]) + stamp[:3]
    torch.testing.assert_close(images[3], expected, rtol=0, atol=1e-5)


def test_an_icon_across_the_seam_is_whole_on_the_other_side():
    dots = scene("blue_red_dots")
    images, centres, *_ = scatter(dots, numbered(60), (32, 32), 0.01)
    at_seam = ((centres < 6) | (centres > 26)).any(2).flatten()
    assert at_seam.sum() > 10
    missing = (1 - images[:, 1]).sum((1, 2))  # what an icon takes from the green of white
    torch.testing.assert_close(missing, missing.mean().expand(60), rtol=0.04, atol=0)
    for image, (row, column) in zip(images, centres[:, 0], strict=True):
        shifts = 15 - int(row - 0.5), 15 - int(column - 0.5)
        middle = image.roll(shifts, (1, 2))
        assert (middle[:, [0, -1]] == 1).all()
        assert (middle[:, :, [0, -1]] == 1).all()


@pytest.mark.parametrize("names", [["taiji"], ["firefly", "blue_dot", "blue_red_dots"]])
@pytest.mark.parametrize("density", [0.001, 0.1, 0.2])
def test_density_decides_how_many_icons_there_are(names, density):
    kinds = scene(*names, size=8)
    count = number_of_icons(kinds, CANVAS, density)
    images, centres, _, numbers = scatter(kinds, numbered(6), CANVAS, density)
    assert centres.shape == (6, count, 2)
    assert count == 1 or abs(count * kinds.mean_area / (64 * 48) - density) < 0.02
    shares = numbers.flatten().bincount(minlength=len(names))
    assert shares.max() - shares.min() <= 1
    if density == 0.2:
        covered = (images < 0.999).any(1).float().mean()
        assert abs(covered - density) < 0.1  # with the soft edges


def test_places_and_angles_are_uniform():
    _, centres, angles, _ = scatter(scene("firefly", size=8), numbered(1200), (32, 32), 0.15)
    for part, side in ((centres[..., 0], 32), (centres[..., 1], 32), (angles, 2 * pi)):
        bins = (part.flatten() / side * 32 + 1e-3).long().bincount(minlength=32)
        assert chisquare(bins.numpy()).pvalue > ALPHA
    first = centres[:, 0].numpy() + np.random.default_rng(0).uniform(-0.5, 0.5, (1200, 2))
    assert kstest((first % 32)[:, 0] / 32, "uniform").pvalue > ALPHA
    assert abs(np.corrcoef(first.T)[0, 1]) < 4 / 1200**0.5


def test_an_image_is_a_function_of_its_number_and_the_seed():
    kinds = scene("firefly", "taiji")
    few, more = (scatter(kinds, numbered(n), CANVAS) for n in (3, 8))
    chosen = scatter(kinds, torch.tensor([5, 2]), CANVAS)
    for one, other, third in zip(few, more, chosen, strict=True):
        assert torch.equal(one, other[:3])
        assert torch.equal(third, other[[5, 2]])
    again = scatter(kinds, numbered(3), CANVAS, seed=1)
    assert not torch.equal(few.images, again.images)


def test_a_canvas_that_is_full_too_early_is_begun_anew():
    dots = scene("blue_dot", size=12)
    images, centres, *_ = scatter(dots, numbered(12), (36, 36), 0.34)
    assert centres.shape[1] == 4
    assert (images[:, 0] < 0.9).sum((1, 2)).float().std() < 10  # none lies over another


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_opaque_pixels_have_the_colour_of_the_icon_and_the_others_the_background(value):
    image = torch.zeros(4, 6, 6)
    image[:, 1:5, 2:4] = torch.tensor([0.25, 0.5, 0.75, 1.0])[:, None, None]
    still = Scene([Icon("bar", image)], torch.full((3,), value))
    images = scatter(still, numbered(4), (16, 16), 0.1, rotate=False).images
    inside = (images == torch.tensor([0.25, 0.5, 0.75])[:, None, None]).all(1)
    outside = (images == value).all(1)
    assert (inside | outside).all()
    assert (inside.sum((1, 2)) == 8 * round(0.1 * 256 / 8)).all()


# the data module


def module(tmp_path, **options):
    small = {"n": 20, "val": 4, "test": 6, "size": 8, "canvas": [32, 20]}
    return Icons(cache_dir=str(tmp_path / "cache"), **small | options)


def test_snapshots_know_their_icons_and_background(tmp_path, caplog):
    caplog.set_level(logging.INFO, "eqflow")
    data = module(tmp_path, icon=["taiji", "blue_dot"], background=[0.5, 0.25, 1])
    assert data.shape == (3, 32, 20)
    data.setup()
    snapshots = data.snapshots
    assert [icon.name for icon in snapshots.scene.icons] == ["taiji", "blue_dot"]
    raw = snapshots.standardiser.raw(snapshots.train)
    most = raw.flatten(2).median(2).values
    torch.testing.assert_close(most.float(), snapshots.scene.background.expand(20, -1))
    assert "taken from the cache" not in caplog.text
    again = module(tmp_path, icon=["taiji", "blue_dot"], background=[0.5, 0.25, 1])
    again.setup()
    assert "taken from the cache" in caplog.text
    assert torch.equal(again.snapshots.train, snapshots.train)


@pytest.mark.parametrize(
    "options",
    [
        {"icon": "taiji"},
        {"background": "grey"},
        {"density": 0.2},
        {"rotate": False},
        {"size": 9},
        {"canvas": [20, 32]},
        {"seed": 1},
    ],
)
def test_other_options_are_another_file(tmp_path, options):
    assert module(tmp_path).path(30) != module(tmp_path, **options).path(30)


def test_the_pixels_of_a_picture_decide_its_file_and_the_score(tmp_path):
    def known(colour):
        path = saved(tmp_path, blot((255,) * 3, colour))
        cfg = OmegaConf.create({"data": {"icon": ["taiji", path]}, "ckpt_path": None})
        return module(tmp_path, icon=path).path(30), user_files(cfg)

    (first, files), (second, others) = known((200, 40, 0)), known((201, 40, 0))
    assert first != second
    assert files.keys() == others.keys() == {str(tmp_path / "bug.png")}
    assert files != others


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"icon": "firfly"}, r"data\.icon=firfly is unknown; did you mean firefly\?"),
        ({"icon": "xyz"}, r"data\.icon=xyz is unknown; expected firefly, .* or the path of a PNG"),
        ({"icon": "a/xyz.png"}, r"data\.icon=a/xyz\.png: no such file; expected a PNG"),
        ({"icon": 5}, r"data\.icon=5: expected the name of a drawing"),
        ({"icon": []}, r"data\.icon=\[\]: expected the name of a drawing"),
        ({"size": 2}, r"data\.size=2: expected a whole number of pixels >= 4"),
        ({"size": 32}, r"data\.canvas=\[32, 20\]: an icon turns in a square of 48 pixels"),
        ({"canvas": 30}, r"data\.canvas=30: expected multiples of 4"),
        ({"canvas": [32, 20, 4]}, r"data\.canvas=.*expected a side"),
        ({"density": 0.0}, r"data\.density=0\.0: expected a share between 0 and 1"),
        (
            {"density": 0.9, "size": 12},
            r"data\.density=0\.9: only \d+ of 11 icons .* a density of 0\.\d\d;",
        ),
        ({"background": "whit"}, r"data\.background=whit: expected the name of a colour"),
        ({"background": [1, 2, 3]}, r"data\.background=\[1, 2, 3\]: expected the name"),
        ({"background": "white", "icon": "blue"}, "as much blue as the background; expected an"),
        ({"n": 1}, "found 1 snapshots to train"),
        ({"n": 10**12}, r"about .* GB on disk, .* are free"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(tmp_path, options, says, monkeypatch):
    monkeypatch.setitem(DRAWINGS, "blue", [(lambda u, v: u.square() + v.square() < 1, (0, 0, 1))])
    with pytest.raises(InputError, match=says):
        module(tmp_path, **options)
    assert not list(tmp_path.iterdir())
