"""The Gray-Scott system: its equations, runs, data module, and sets larger than memory."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from data_modules import GrayScott as GrayScottData
from eqflow.cli.resume import RESOLVED_CONFIG, check_unchanged, user_files
from eqflow.data import Standardiser, add_measurement_noise, random_order, split
from eqflow.errors import InputError
from eqflow.evaluation import true_path
from eqflow.runtime import Draws, generator, memory, store
from eqflow.systems import PRESETS, GrayScott, Schedule, initial_state
from eqflow.terms import laplacian

SHORT = Schedule(settle=600.0, per_run=2, every=20.0)


def starts(grid, n=3):
    return torch.stack([initial_state(grid, 0, number) for number in range(n)])


# the equation


@pytest.mark.parametrize("grid", [(32, 32), (20, 33)])
@pytest.mark.parametrize("mode", [(0, 1), (3, 2), (0, 0)])
def test_the_laplacian_of_a_fourier_mode_is_its_symbol(grid, mode, double):
    ky, kx = (2 * torch.pi * m / side for m, side in zip(mode, grid, strict=True))
    phase = ky * torch.arange(grid[0])[:, None] + kx * torch.arange(grid[1]) + 0.3
    symbol = 2 * (np.cos(kx) + np.cos(ky)) - 4
    torch.testing.assert_close(laplacian(phase.cos()), symbol * phase.cos())


@pytest.mark.parametrize("preset", PRESETS)
def test_nothing_happens_where_all_is_fed_and_nothing_reacts(preset):
    x = torch.stack([torch.ones(8, 8), torch.zeros(8, 8)])[None]
    assert GrayScott(preset).velocity(x).abs().max() == 0


@pytest.mark.parametrize("steps", [500, 501])
@pytest.mark.parametrize("grid", [(32, 32), (17, 40)])
def test_compiled_steps_are_those_of_a_float64_loop(grid, steps):
    system, x = GrayScott("chaos"), starts(grid)
    expected = x.double()
    for _ in range(steps):
        expected += system.velocity(expected)
    system.advance(x, steps)
    assert expected[:, 1].std() > 0.01
    torch.testing.assert_close(x.double(), expected, rtol=0, atol=2e-5)


def test_compiled_steps_leave_the_number_of_threads_as_it_was():
    threads = torch.get_num_threads()
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            GrayScott("waves").advance(torch.rand(3, 2, 8, 8), 2)
            assert torch.get_num_threads() == n
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("dt", [1.0, 0.25])
def test_the_velocity_is_what_a_step_moves_by(dt):
    system, x = GrayScott("waves"), starts((24, 16))
    moved = x.clone()
    system.advance(moved, 1, dt)
    torch.testing.assert_close((moved - x) / dt, system.velocity(x), rtol=0, atol=1e-6)


def test_halving_the_step_halves_the_error_of_a_trajectory():
    system, ends = GrayScott("waves"), []
    for halvings in range(4):
        x = starts((16, 16)).double()
        dt = 0.5**halvings
        for _ in range(20 * 2**halvings):
            x += dt * system.velocity(x)
        ends.append(x)
    coarse, middle, fine = ((ends[k] - ends[k + 1]).norm() for k in range(3))
    assert 1.8 < coarse / middle < 2.2
    assert 1.8 < middle / fine < 2.2


# runs


def test_runs_start_below_one_so_that_what_has_died_stays_dead():
    x = starts((64, 48), 20)
    assert x[:, 0].max() <= 1
    assert x[:, 1].min() >= 0
    assert (x[:, 1].amax((1, 2)) > 0.25).all()
    assert 0.02 < (x[:, 1] > 0.2).float().mean() < 0.3


def test_a_run_that_counts_as_dead_ends_without_a_pattern():
    system, x = GrayScott("life"), starts((32, 32), 30)
    system.advance(x, 250)
    dead = x[~system.lives(x)]
    assert len(dead) > 5
    assert dead[:, 1].max() > 1e-3  # it is known before it is to be seen
    system.advance(dead, 1000)
    assert dead[:, 1].max() < 1e-6


def test_the_same_seed_gives_the_same_runs_and_more_runs_extend_fewer():
    system = GrayScott("gamma")
    few, more, other = (
        system.sample(n, seed, (32, 40), SHORT) for n, seed in ((6, 0), (11, 0), (6, 1))
    )
    assert more.states.shape == (11, 2, 32, 40)
    assert torch.equal(few.states, more.states[:6])
    assert not torch.equal(few.states, other.states)
    assert more.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]


def test_states_of_a_run_are_a_stretch_of_time_apart():
    system = GrayScott("gamma")
    states = system.sample(4, 0, (32, 32), SHORT).states
    later = states[::2].clone()
    system.advance(later, 20)
    assert torch.equal(later, states[1::2])


def test_the_first_states_are_kept_at_times_spread_evenly_over_a_fifth_of_settling():
    schedule = Schedule(settle=2000.0, dt=0.5)
    delays = torch.tensor([schedule.delay(number) for number in range(1000)])
    assert delays.min() == 0
    assert 0.5 * delays.max() == 2000 / 5 * 19 / 20
    assert (delays.unique(return_counts=True)[1] - 50).abs().max() <= 2


def test_a_shorter_step_covers_the_same_time():
    system, grid = GrayScott("gamma"), (32, 32)
    whole = system.sample(3, 0, grid, Schedule(settle=100.0)).states
    half = system.sample(3, 0, grid, Schedule(settle=100.0, dt=0.5)).states
    assert 0 < (whole - half).abs().max() < 0.05


def test_runs_that_died_are_replaced_and_counted(caplog):
    caplog.set_level(logging.INFO, "eqflow")
    system, schedule = GrayScott("alpha"), Schedule(settle=1000.0)
    states = system.sample(5, 0, (48, 48), schedule).states
    assert len(states) == 5
    assert system.lives(states).all()
    died, _, tried = caplog.messages[-1].split()[1:4]
    assert f"{died} of {tried} runs of alpha on a grid of 48x48 died out" in caplog.text
    assert ("a larger data.grid loses fewer" in caplog.text) == (int(died) > int(tried) / 2)
    x = starts((48, 48), int(tried))
    for number, run in enumerate(x.split(1)):
        system.advance(run, schedule.delay(number) + 1000)
    living = x[system.lives(x)]
    assert len(living) == int(tried) - int(died)
    assert torch.equal(states, living[:5])


def test_where_practically_all_runs_die_there_are_no_data():
    with pytest.raises(InputError, match=r"of life on a grid of 16x16 died out; expected a larger"):
        GrayScott("life").sample(2, 0, (16, 16), Schedule(settle=1500.0))


def test_a_set_larger_than_memory_is_refused_before_it_is_made():
    with pytest.raises(InputError, match=r"n=10000000 on a grid of 256x256 takes about .* GB"):
        GrayScott().sample(10_000_000, 0, (256, 256))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"preset": "wave"}, r"data\.preset=wave is unknown; did you mean waves"),
        ({"grid": 4}, r"data\.grid=\[4, 4\]: expected sides of at least 8"),
        ({"grid": [64, 64, 2]}, r"data\.grid=.*expected a side"),
        ({"grid": 64.5}, r"data\.grid=64\.5: expected a side"),
        ({"dt": 1.6}, r"data\.dt=1\.6: .* stable below 1\.56"),
        ({"dt": 0.0}, r"data\.dt=0\.0: expected a step > 0"),
        ({"settle": -1.0}, r"data\.settle=-1\.0: expected a time"),
        ({"every": 0.1}, r"data\.every=0\.1: expected a time of one step or more"),
        ({"per_run": 0}, r"data\.per_run=0: expected an integer"),
        ({"noise": -0.1}, r"data\.noise=-0\.1: expected a fraction"),
        ({"n": 1}, "found 1 snapshots to train"),
        ({"n": 10**12}, r"about .* GB on disk, .* are free"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(tmp_path, options, says):
    with pytest.raises(InputError, match=says):
        GrayScottData(**options, cache_dir=str(tmp_path))
    assert not list(tmp_path.iterdir())


# the data module


def module(tmp_path, **options):
    options = {"n": 40, "val": 4, "test": 8, "settle": 300.0, "grid": [16, 24]} | options
    return GrayScottData("gamma", cache_dir=str(tmp_path), **options)


def test_the_cache_is_found_again_and_gives_equal_bits(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "eqflow")
    first = module(tmp_path)
    assert first.shape == (2, 16, 24)
    first.setup()
    monkeypatch.setattr(GrayScott, "advance", None)  # would fail
    again = module(tmp_path)
    again.setup()
    assert "taken from the cache" in caplog.text
    for part in ("train", "val", "test"):
        assert torch.equal(getattr(first.snapshots, part), getattr(again.snapshots, part))
    assert len([*tmp_path.rglob("*.npy")]) == 1


@pytest.mark.parametrize("options", [{"seed": 1}, {"settle": 310.0}, {"dt": 0.5}, {"per_run": 2}])
def test_other_options_are_another_file(tmp_path, options):
    for chosen in ({}, options):
        data = module(tmp_path, **chosen)
        data.setup()
        assert [len(p) for p in (data.snapshots.val, data.snapshots.test)] == [4, 8]
    assert len([*tmp_path.rglob("*.npy")]) == 2


def test_a_time_may_be_an_integer(tmp_path):
    assert module(tmp_path, settle=300).path(52) == module(tmp_path, settle=300.0).path(52)


def test_what_is_done_to_the_data_does_not_reach_the_file(tmp_path):
    data = module(tmp_path)
    states = data.sample(52).states
    before = states.clone()
    states.zero_()
    assert torch.equal(data.sample(52).states, before)


def test_no_run_is_in_two_splits(tmp_path):
    data = module(tmp_path, per_run=4, every=10.0)
    data.setup()
    s = data.snapshots
    assert not set(s.train_groups.tolist()) & set(s.test_groups.tolist())


def test_the_true_velocity_is_one_of_clean_test_states_whatever_the_noise(tmp_path):
    clean, noisy = module(tmp_path), module(tmp_path, noise=0.1)
    for data in (clean, noisy):
        data.setup()
    a, b = clean.snapshots, noisy.snapshots
    raw = [s.standardiser.raw(s.test) for s in (a, b)]
    torch.testing.assert_close(raw[0], raw[1], rtol=0, atol=1e-6)
    velocity = [s.velocity(s.test) * s.standardiser.std for s in (a, b)]
    torch.testing.assert_close(velocity[0], velocity[1], rtol=0, atol=1e-7)
    for part in ("train", "val"):
        errors = b.standardiser.raw(getattr(b, part)) - a.standardiser.raw(getattr(a, part))
        sizes = errors.std((0, 2, 3)) / a.standardiser.std.flatten()
        torch.testing.assert_close(sizes, torch.full((2,), 0.1).double(), rtol=0.05, atol=0)
    torch.testing.assert_close(b.train.std((0, 2, 3)), torch.ones(2), rtol=0, atol=1e-3)


# sets larger than memory


@pytest.fixture
def little(monkeypatch):
    """A machine without memory for a set of images."""
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)


@pytest.fixture
def images():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(50, 2, 8, 8, generator=draw)
    return x * torch.tensor([3.0, 0.01])[:, None, None] + 40


@pytest.mark.usefixtures("little")
def test_a_set_larger_than_memory_is_standardised_in_chunks_and_kept_on_disk(images, tmp_path):
    x = images.repeat(1, 1, 32, 32)
    x += 0.1 * torch.arange(50)[:, None, None, None]
    assert x.numel() > memory.CHUNK_SIZE
    s = split(x, 5, 10, velocity=lambda x: -x, folder=tmp_path)
    assert not list(tmp_path.iterdir())  # the file that is mapped has no name
    ordered = x[random_order(50, None, generator(0, Draws.DATA))].double()
    train = ordered[15:].transpose(0, 1).flatten(1)
    mean, std = train.mean(1)[:, None, None], train.std(1)[:, None, None]
    standard = ((ordered - mean) / std).float()
    torch.testing.assert_close(torch.cat([s.val, s.test, s.train]), standard, rtol=0, atol=1e-6)
    torch.testing.assert_close(s.velocity(s.test), (-ordered[5:15] / std).float())
    same = add_measurement_noise(s, 0.0)
    torch.testing.assert_close(same.train, standard[15:], rtol=0, atol=1e-5)


@pytest.mark.usefixtures("little")
def test_a_set_without_a_disk_to_be_on_must_fit_in_memory(images):
    with pytest.raises(InputError, match=r"data: the set takes about 0\.0 MB of memory"):
        split(images, 5, 10)


def test_statistics_are_those_of_chosen_rows(images):
    rows = torch.arange(0, 50, 3)
    chosen, direct = Standardiser.of(images, rows), Standardiser.of(images[rows])
    assert torch.equal(chosen.mean, direct.mean)
    assert torch.equal(chosen.std, direct.std)
    torch.testing.assert_close(direct.std.flatten(), images[rows].double().std((0, 2, 3)))


def test_arrays_are_written_in_chunks_and_read_by_numpy(tmp_path, images):
    path = tmp_path / "deep" / "x.npy"
    store.save_array(path, tuple(images.shape), images.split(7))
    assert np.array_equal(np.load(path, allow_pickle=False), images.numpy())


def test_an_array_that_is_not_finished_is_no_file(tmp_path, images):
    def fails():
        yield images[:3]
        raise InputError("no more")

    with pytest.raises(InputError):
        store.save_array(tmp_path / "x.npy", tuple(images.shape), fails())
    assert not list(tmp_path.iterdir())


def test_free_memory_is_more_than_this_test_takes_and_less_than_a_library():
    assert 1e6 < memory.free_memory() < 1e16


# from the command line


def test_a_run_may_be_continued_with_another_cache_but_not_with_other_data(tmp_path):
    (tmp_path / RESOLVED_CONFIG.parent).mkdir()
    stored = OmegaConf.create({"data": {"preset": "waves", "cache_dir": "a"}, "ckpt_path": None})
    OmegaConf.save(stored, tmp_path / RESOLVED_CONFIG)
    moved = OmegaConf.merge(stored, {"data": {"cache_dir": "b"}})
    check_unchanged(moved, tmp_path)
    with pytest.raises(InputError, match=r"data\.preset=life would change"):
        check_unchanged(OmegaConf.merge(stored, {"data": {"preset": "life"}}), tmp_path)


def test_what_is_learned_from_a_folder_depends_on_its_files(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    cfg = OmegaConf.create({"data": {"path": str(images)}, "ckpt_path": None})
    before = user_files(cfg)
    (images / "0.png").write_bytes(b"1")
    assert before.keys() == user_files(cfg).keys() == {str(images)}
    assert before != user_files(cfg)


PROCESS = """
import sys
from pathlib import Path
from data_modules import GrayScott
from eqflow.cli.checks import keep_caches_in
folder = sys.argv[1]
data = GrayScott("gamma", 16, n=4, val=1, test=4, settle=10.0, cache_dir=folder)
print("numba" in sys.modules)
if sys.argv[2] == "dysts":
    import numba
keep_caches_in(Path(folder))
data.setup()
"""
"""As the command line: checked, told where caches are, set up."""


@pytest.mark.slow
@pytest.mark.parametrize("before", ["nothing", "dysts"])
def test_what_is_compiled_is_kept_in_the_cache_folder(tmp_path, before):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", PROCESS, str(tmp_path), before]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"  # checks do not wait for numba
    assert [*(tmp_path / "numba").rglob("stencil.advance*")]


def test_a_field_is_compared_with_the_velocities_of_other_presets(tmp_path):
    options = {"preset": "gamma", "grid": 16, "n": 8, "val": 2, "test": 6, "settle": 100.0}
    data = GrayScottData(**options, cache_dir=str(tmp_path))
    data.setup()
    snapshots = data.snapshots
    assert [*snapshots.alternatives] == ["gamma", "life", "waves", "spirals", "maze", "chaos"]
    x = snapshots.test
    torch.testing.assert_close(snapshots.alternatives["gamma"](x), snapshots.velocity(x))
    assert not torch.allclose(snapshots.alternatives["chaos"](x), snapshots.velocity(x))


def test_the_true_path_of_a_pattern_near_rest_resolves_its_reactions(tmp_path):
    options = {"preset": "maze", "grid": 32, "n": 12, "val": 2, "test": 6, "settle": 2000.0}
    data = GrayScottData(**options, cache_dir=str(tmp_path))
    data.setup()
    snapshots, span = data.snapshots, 0.2
    start = snapshots.test[:2]
    path = true_path(snapshots, start, torch.tensor([0.0, span]))[-1]
    length = (span / snapshots.velocity(snapshots.test).square().mean().sqrt()).item()
    x, steps = snapshots.standardiser.raw(start), 2000
    assert length / 0.05 > 1000  # steps that a field of its own speed takes are too long
    for _ in range(steps):
        x = x + length / steps * GrayScott("maze").velocity(x)
    moved = snapshots.standardiser.standard(x).float() - start
    assert (path - start - moved).norm() < 0.01 * moved.norm()
