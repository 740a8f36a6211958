import logging
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import kstest

from data_modules import Dysts, Lorenz, Ring, SnapshotsFile, TwoMoons, TwoPeaks
from eqflow import memory, store
from eqflow.errors import InputError
from eqflow.images import seam
from eqflow.systems import Sample

N = 20_000
ALPHA = 1e-6


def draw(module, n=N):
    return module(seed=0).sample(n).states.double()


def assert_mean(samples, expected):
    """The mean is the expected one within 5 standard errors, per column."""
    error = (samples.mean(0) - torch.as_tensor(expected, dtype=torch.float64)).abs()
    assert (error < 5 * samples.std(0) / len(samples) ** 0.5).all()


# planar laws


def test_two_peaks_are_two_round_gaussians_of_equal_weight():
    x = draw(TwoPeaks)
    side = x.sum(1).sign()
    assert_mean(side[:, None], [0.0])
    assert_mean(x, [0.0, 0.0])
    assert_mean(torch.stack([x[:, 0] ** 2, x[:, 1] ** 2, x.prod(1)], 1), [1.25, 1.25, 1.0])
    across = (x[:, 0] - x[:, 1]) / 0.5**0.5
    assert kstest(across.numpy(), "norm").pvalue > ALPHA


def test_the_ring_is_uniform_in_area():
    x = draw(Ring)
    r2, angle = x.square().sum(1), torch.atan2(x[:, 1], x[:, 0])
    assert kstest(r2.numpy(), "uniform", args=(1, 3)).pvalue > ALPHA
    assert kstest(angle.numpy(), "uniform", args=(-np.pi, 2 * np.pi)).pvalue > ALPHA
    assert_mean(torch.stack([r2 * angle.cos(), r2 * angle.sin()], 1), [0.0, 0.0])


def test_two_moons_lie_on_their_half_circles():
    x = draw(TwoMoons)
    lower = torch.tensor([1.0, 0.5]) - x
    radius = torch.minimum((x.norm(dim=1) - 1).abs(), (lower.norm(dim=1) - 1).abs())
    assert radius.max() < 0.1 * 6
    assert_mean(x, [0.5, 0.25])
    variance = [0.75 + 0.01, 0.5 - 4 / np.pi**2 + (2 / np.pi - 0.25) ** 2 + 0.01]
    assert_mean((x - torch.tensor([0.5, 0.25])) ** 2, variance)


# Lorenz


@pytest.fixture(scope="module")
def lorenz():
    runs, kept = 2000, 4
    module = Lorenz(seed=0)
    x = module.system.sample(runs * kept, seed=0, runs=runs).states
    return x, module.system.velocity(x), runs


def run_means(values, runs):
    """One row a run: states of one run are not independent, runs are."""
    return values.flatten(1).unflatten(0, (-1, runs)).mean(0)


def test_lorenz_states_are_stationary(lorenz):
    _, v, runs = lorenz
    assert_mean(run_means(v, runs), [0.0] * 3)


def test_lorenz_second_moments_do_not_change_in_time(lorenz):
    # d<x_i x_j>/dt = <x_i v_j + v_i x_j> = 0
    x, v, runs = lorenz
    flux = torch.einsum("ni,nj->nij", x, v)
    assert_mean(run_means(flux + flux.mT, runs), [0.0] * 9)


def test_lorenz_moments_obey_their_identities(lorenz):
    states, _, runs = lorenz
    x, y, z = states.T
    identities = [x, y, x * y - 8 / 3 * z, x**2 - x * y, x * y * z - 8 / 3 * z**2]
    assert_mean(run_means(torch.stack(identities, 1), runs), [0.0] * 5)


def test_lorenz_has_its_fixed_points_and_divergence():
    system = Lorenz().system
    wing = (8 / 3 * 27) ** 0.5
    fixed = torch.tensor([[0, 0, 0], [wing, wing, 27], [-wing, -wing, 27]], dtype=torch.float64)
    torch.testing.assert_close(
        system.velocity(fixed), torch.zeros(3, 3).double(), rtol=0, atol=1e-12
    )
    jacobian = torch.func.jacfwd(lambda row: system.velocity(row[None])[0])(fixed[0])
    expected = torch.tensor(
        [(-11 + 1201**0.5) / 2, (-11 - 1201**0.5) / 2, -8 / 3], dtype=torch.float64
    )
    found = torch.linalg.eigvals(jacobian).real.sort().values
    torch.testing.assert_close(found, expected.sort().values)


def test_lorenz_gives_its_true_velocity_in_standardised_units():
    module = Lorenz(n=500, val=10, test=10)
    module.setup()
    s = module.snapshots
    raw = s.standardiser.raw(s.test)
    torch.testing.assert_close(s.velocity(s.test) * s.standardiser.std, module.system.velocity(raw))


# dysts


def test_a_system_of_dysts_has_its_shape_before_setup_and_its_true_velocity():
    module = Dysts("Lorenz96", n=20, val=5, test=5, transient=5.0)
    assert module.shape == module.system.shape == (4,)
    module.setup()
    s = module.snapshots
    assert s.shape == (4,)
    raw = s.standardiser.raw(s.test)
    torch.testing.assert_close(
        s.velocity(s.test), (module.system.velocity(raw) / s.standardiser.std).float()
    )


def test_of_samples_that_all_fail_the_one_that_fails_least_is_taken(monkeypatch, caplog):
    """The true velocity is made to look wrong, least where the transient is twice the first."""
    p_values, transients = iter([1e-9, 1e-5, 1e-7]), []

    def sample(n, seed, transient):
        transients.append(transient)
        return Sample(torch.full((n, 3), transient), None)

    module = Dysts("Lorenz", n=20, val=5, test=5, transient=10.0)
    monkeypatch.setattr(module.system, "sample", sample)
    monkeypatch.setattr(module, "_p_value", lambda states, groups: next(p_values))
    assert module.sample(20).states.unique().tolist() == [20.0]
    assert transients == [10.0, 20.0, 40.0]
    assert "data.system=Lorenz" in caplog.text


def test_a_system_that_is_not_known_is_refused_by_its_option():
    with pytest.raises(InputError, match=r"data\.system=Rosler: .*Rossler"):
        Dysts("Rosler")


# all


@pytest.mark.parametrize(
    "module", [TwoPeaks, Ring, TwoMoons, Lorenz, partial(Dysts, transient=5.0)]
)
def test_the_same_seed_gives_the_same_data_and_another_seed_other_data(module):
    first, again, other = (module(n=40, val=5, test=5, seed=seed) for seed in (0, 0, 1))
    for data in (first, again, other):
        torch.rand(3)  # the global state does not matter
        data.setup()
    assert torch.equal(first.snapshots.train, again.snapshots.train)
    assert not torch.equal(first.snapshots.train, other.snapshots.train)
    assert [len(s) for s in (first.snapshots.train, first.snapshots.val, first.snapshots.test)] == [
        40,
        5,
        5,
    ]
    assert first.shape == first.snapshots.shape


# files


@pytest.fixture
def table():
    return np.random.default_rng(0).normal(size=(50, 3))


def write(path, table, header=None):
    if path.suffix == ".npy":
        np.save(path, table)
    else:
        lines = [",".join(map(repr, map(float, row))) for row in table]
        path.write_text("\n".join(([header] if header else []) + lines) + "\n")
    return str(path)


@pytest.mark.parametrize(
    ("name", "header"),
    [("x.npy", None), ("x.csv", None), ("x.csv", "a,b,c"), ("x.csv", '"u v",b,c')],
)
def test_files_are_read_as_they_are(tmp_path, table, name, header):
    data = SnapshotsFile(write(tmp_path / name, table, header))
    assert data.shape == (3,)
    assert np.array_equal(data.states.numpy(), table)
    data.setup()
    s = data.snapshots
    assert [len(s.val), len(s.test), len(s.train)] == [5, 10, 35]


def test_integers_are_numbers_too(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(40).reshape(20, 2))
    assert SnapshotsFile(str(tmp_path / "x.npy")).states.dtype == torch.float64
    rows = [f"{i},{i**2}" for i in range(20)]
    (tmp_path / "x.csv").write_text("\n".join(["speed,power", *rows]))
    assert SnapshotsFile(str(tmp_path / "x.csv")).states[:, 1].tolist() == [i**2 for i in range(20)]


def test_groups_come_from_a_file_of_their_own(tmp_path, table):
    path = write(tmp_path / "x.npy", table)
    np.save(tmp_path / "runs.npy", np.arange(50) % 40 * 7)
    data = SnapshotsFile(path, groups=str(tmp_path / "runs.npy"))
    data.setup()
    s = data.snapshots
    assert len(s.train_groups) == len(s.train)
    assert not set(s.train_groups.tolist()) & set(s.test_groups.tolist())


@pytest.mark.parametrize(
    ("labels", "says"),
    [(np.arange(49), "49 labels of 49 groups"), (np.arange(50) % 7, "50 labels of 7 groups")],
)
def test_groups_that_do_not_fit_are_refused(tmp_path, table, labels, says):
    path = write(tmp_path / "x.npy", table)
    np.save(tmp_path / "runs.npy", labels)
    with pytest.raises(InputError, match=rf"data\.groups=.*runs\.npy: {says}"):
        SnapshotsFile(path, groups=str(tmp_path / "runs.npy"))


def test_complex_numbers_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((20, 2)) * 1j)
    with pytest.raises(InputError, match="complex128"):
        SnapshotsFile(str(tmp_path / "x.npy"))


def test_a_first_row_without_numbers_is_data_and_refused(tmp_path):
    (tmp_path / "x.csv").write_text("nan,nan\n" + "1,2\n3,5\n" * 10)
    with pytest.raises(InputError, match="1 of 21 snapshots hold NaN"):
        SnapshotsFile(str(tmp_path / "x.csv"))


def spoiled(table):
    table = table.copy()
    table[4, 1] = np.nan
    return table


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("nan.npy", spoiled, "1 of 50 snapshots hold NaN"),
        ("nan.csv", spoiled, "1 of 50 snapshots hold NaN"),
        ("pickle.npy", lambda t: np.array([{"a": 1}, None], dtype=object), "Python objects"),
        ("flat.npy", lambda t: t[:, 0], r"\(N, d\)"),
        ("text.npy", lambda t: t.astype(str)[:, :1].astype("<U3") + "x", "numbers"),
    ],
    ids=lambda p: p if isinstance(p, str) else "",
)
def test_what_is_no_table_of_numbers_is_refused_by_name(tmp_path, table, name, content, says):
    path = write(tmp_path / name, content(table))
    with pytest.raises(InputError, match=f"data.path={path}.*{says}"):
        SnapshotsFile(path)


def test_pickles_are_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path.joinpath("boom").touch, ())

    np.save(tmp_path / "x.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(InputError):
        SnapshotsFile(str(tmp_path / "x.npy"))
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("missing.npy", None),
        ("x.parquet", "PAR1"),
        ("broken.npy", "not numpy"),
        ("ragged.csv", "1,2\n3\n4,5\n"),
        ("words.csv", "a,b\n1,2\n3,x\n5,6\n"),
        ("empty.csv", ""),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_unreadable_files_are_refused_by_name(tmp_path, name, text):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=f"data.path={path}"):
        SnapshotsFile(str(path))


@pytest.mark.parametrize(
    "fractions", [{"val": 0.0}, {"test": 0.7}, {"val": -0.1}, {"test": float("nan")}]
)
def test_fractions_held_out_are_bounded(tmp_path, table, fractions):
    (name,) = fractions
    with pytest.raises(InputError, match=rf"data\.{name}="):
        SnapshotsFile(write(tmp_path / "x.npy", table), **fractions)


# images


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
    with pytest.raises(InputError, match="channel 1 is constant"):
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
        assert abs(seam(data.states, axis).ratio - 1) < 0.3
    assert not caplog.messages


def test_images_that_are_not_periodic_are_told_by_the_jump(tmp_path, caplog):
    images = waves(period=21.0)
    np.save(tmp_path / "x.npy", images)
    data = SnapshotsFile(str(tmp_path / "x.npy"))
    data.setup()
    inside = np.abs(np.diff(images, axis=2)).mean()
    across = np.abs(images[:, :, 0] - images[:, :, -1]).mean()
    assert f"from left and right they jump {across / inside:.1f} times as much" in caplog.text
    assert "top and bottom" in caplog.text


def test_a_folder_is_known_by_the_names_and_bytes_of_its_files(tmp_path):
    for name in "ab":
        folder(tmp_path / name, as_bytes(waves(3)))
    assert store.file_hash(tmp_path / "a") == store.file_hash(tmp_path / "b")
    Image.fromarray(as_bytes(waves(1, 20)[0])).save(tmp_path / "b" / "000.png")
    assert store.file_hash(tmp_path / "a") != store.file_hash(tmp_path / "b")
