"""Images read from a user's file or folder: channels, scales, and whether they are periodic."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from data_modules import SnapshotsFile
from eqflow.data.periodicity import border_jump
from eqflow.errors import InputError
from eqflow.runtime import memory, store


def waves(n=40, side=16, period=16.0):
    """Periodic where ``period`` divides ``side``."""
    draw = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    phase = draw.uniform(0, 2 * np.pi, (2, n, 1, 1))
    return np.sin(2 * np.pi * x / period + phase[0]) + np.cos(2 * np.pi * y / period + phase[1])


def as_bytes(images):
    return np.uint8(np.clip(60 * images + 128, 0, 255))


def folder(path, images, suffix="png"):
    path.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(path / f"{number:03}.{suffix}")
    return str(path)


@pytest.mark.parametrize("shape", [(40, 16, 16), (40, 1, 16, 16), (20, 2, 16, 16)])
def test_arrays_of_images_have_one_channel_or_several(tmp_path, shape):
    np.save(tmp_path / "x.npy", waves().reshape(shape))
    data = SnapshotsFile(str(tmp_path / "x.npy"))
    assert data.states.dtype == torch.float32
    assert data.shape == (*((1,) if len(shape) == 3 else ()), *shape[1:])
    data.setup()
    assert data.snapshots.train.std((0, 2, 3)).sub(1).abs().max() < 1e-3


@pytest.mark.parametrize("kind", [np.uint8, np.int64, ">u2"])
def test_integers_up_to_255_are_scaled_and_it_is_said(tmp_path, caplog, kind):
    caplog.set_level(logging.INFO, "eqflow")
    images = as_bytes(waves())
    np.save(tmp_path / "x.npy", images.astype(kind))
    states = SnapshotsFile(str(tmp_path / "x.npy")).states
    np.testing.assert_allclose(states[:, 0], images / 255, atol=1e-7)
    assert f"data.path={tmp_path / 'x.npy'}: integers 0..255 are scaled to 0..1" in caplog.text


def test_larger_integers_and_vectors_are_not_scaled(tmp_path):
    np.save(tmp_path / "x.npy", as_bytes(waves()).astype(np.uint16) * 250)
    assert SnapshotsFile(str(tmp_path / "x.npy")).states.max() > 1000
    np.save(tmp_path / "y.npy", as_bytes(waves()).reshape(40, -1))
    assert SnapshotsFile(str(tmp_path / "y.npy")).states.max() > 1


@pytest.mark.parametrize("suffix", ["png", "tif", "TIFF"])
def test_a_folder_of_images_is_read_in_the_order_of_names(tmp_path, suffix):
    images = as_bytes(waves())
    path = folder(tmp_path / "x", images, suffix)
    (tmp_path / "x" / "notes.txt").write_text("not an image")
    data = SnapshotsFile(path)
    assert data.shape == (1, 16, 16)
    np.testing.assert_allclose(data.states[:, 0], images / 255, atol=1e-7)


def test_jpeg_loses_little(tmp_path):
    images = as_bytes(waves())
    states = SnapshotsFile(folder(tmp_path / "x", images, "jpg")).states
    assert np.abs(states[:, 0].numpy() - images / 255).mean() < 0.02


def test_colours_are_channels_where_they_differ(tmp_path, caplog):
    caplog.set_level(logging.INFO, "eqflow")
    images = as_bytes(waves())
    grey = np.stack([images] * 3, -1)
    assert SnapshotsFile(folder(tmp_path / "grey", grey)).shape == (1, 16, 16)
    assert "the three colours are the same" in caplog.text
    coloured = np.stack([images, np.roll(images, 3, 1), 255 - images // 2, images], -1)
    states = SnapshotsFile(folder(tmp_path / "coloured", coloured)).states  # transparency is not
    np.testing.assert_allclose(states[:, 1], coloured[..., 1] / 255, atol=1e-7)
    assert states.shape[1] == 3


def test_images_of_unequal_size_are_refused_with_both(tmp_path):
    path = folder(tmp_path / "x", as_bytes(waves()))
    Image.fromarray(as_bytes(waves(1, 20)[0])).save(tmp_path / "x" / "100.png")
    with pytest.raises(InputError, match=r"100\.png is 20x20 pixels .*000\.png is 16x16 pixels"):
        SnapshotsFile(path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty", None, "no images found; expected .png"),
        ("broken.png", b"no image", "cannot identify image file"),
        ("cut.png", None, "expected an image"),
    ],
)
def test_folders_that_cannot_be_read_are_refused(tmp_path, name, content, says):
    path = tmp_path / "x"
    if name == "cut.png":
        folder(path, as_bytes(waves(1, 64)))
        content = (path / "000.png").read_bytes()[:200]
    path.mkdir(exist_ok=True)
    if content:
        (path / name).write_bytes(content)
        (path / "000.png").unlink(missing_ok=True)
    with pytest.raises(InputError, match=f"data.path={path}.*{says}"):
        SnapshotsFile(str(path))


def test_files_of_several_pictures_are_refused(tmp_path):
    path = tmp_path / "x"
    path.mkdir()
    pages = [Image.fromarray(image) for image in as_bytes(waves(3))]
    pages[0].save(path / "stack.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match=r"stack\.tif: 3 pictures found; expected one"):
        SnapshotsFile(str(path))


def test_a_constant_channel_is_refused_by_its_number(tmp_path):
    np.save(tmp_path / "x.npy", np.stack([waves(), np.ones((40, 16, 16))], 1))
    with pytest.raises(InputError, match="channel 2 of 2 is constant"):
        SnapshotsFile(str(tmp_path / "x.npy"))


def test_images_larger_than_memory_are_refused_before_they_are_read(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", waves())
    path = folder(tmp_path / "x", as_bytes(waves()))
    monkeypatch.setattr(memory, "free_memory", lambda: 50_000)
    for name in (tmp_path / "x.npy", path):
        with pytest.raises(InputError, match=rf"{name}: .* about 0\.1 MB of memory, 0\.1 MB are"):
            SnapshotsFile(str(name))


def test_the_seam_of_periodic_images_is_like_any_other_place(tmp_path, caplog):
    np.save(tmp_path / "x.npy", waves())
    data = SnapshotsFile(str(tmp_path / "x.npy"))
    data.setup()
    for axis in (-2, -1):
        assert abs(border_jump(data.states, axis).ratio - 1) < 0.3
    assert not caplog.messages


def test_images_that_are_not_periodic_are_told_by_the_jump(tmp_path, caplog):
    images = waves(period=21.0)
    np.save(tmp_path / "x.npy", images)
    data = SnapshotsFile(str(tmp_path / "x.npy"))
    data.setup()
    within = np.abs(np.diff(images, axis=2)).mean()
    across = np.abs(images[:, :, 0] - images[:, :, -1]).mean()
    assert f"from left and right they jump {across / within:.1f} times as much" in caplog.text
    assert "top and bottom" in caplog.text


def test_a_folder_is_known_by_the_names_and_bytes_of_its_files(tmp_path):
    for name in "ab":
        folder(tmp_path / name, as_bytes(waves(3)))
    assert store.file_hash(tmp_path / "a") == store.file_hash(tmp_path / "b")
    Image.fromarray(as_bytes(waves(1, 20)[0])).save(tmp_path / "b" / "000.png")
    assert store.file_hash(tmp_path / "a") != store.file_hash(tmp_path / "b")
