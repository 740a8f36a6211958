"""Vectors read from a user's file, and what is refused by name."""

import re

import numpy as np
import pytest
import torch

from data_modules import SnapshotsFile
from eqflow.errors import InputError


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


def test_copies_of_a_row_leave_with_their_group(tmp_path, table):
    path = write(tmp_path / "x.npy", np.repeat(table, 2, 0))
    np.save(tmp_path / "runs.npy", np.arange(50).repeat(2))
    data = SnapshotsFile(path, groups=str(tmp_path / "runs.npy"))
    data.setup()
    s = data.snapshots
    assert [len(s.val), len(s.test), len(s.train)] == [5, 10, 35]
    rows = torch.cdist(s.standardiser.raw(s.train), torch.from_numpy(table)).argmin(1)
    assert torch.equal(s.train_groups, rows)


def test_groups_may_be_words_under_a_heading(tmp_path, table):
    (tmp_path / "donors.csv").write_text("donor\n" + "\n".join(f"d{k % 40}" for k in range(50)))
    data = SnapshotsFile(write(tmp_path / "x.npy", table), groups=str(tmp_path / "donors.csv"))
    assert len(data.groups.unique()) == 40
    assert torch.equal(data.groups[:10], data.groups[40:])


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (np.arange(49), "49 names of 49 groups"),
        (np.arange(50) % 7, "50 names of 7 groups"),
        (np.full(50, np.nan), "50 names are NaN"),
    ],
)
def test_groups_that_do_not_fit_are_refused(tmp_path, table, names, says):
    path = write(tmp_path / "x.npy", table)
    np.save(tmp_path / "runs.npy", names)
    with pytest.raises(InputError, match=rf"data\.groups=.*runs\.npy: {says}"):
        SnapshotsFile(path, groups=str(tmp_path / "runs.npy"))


def test_complex_numbers_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((20, 2)) * 1j)
    with pytest.raises(InputError, match="complex128"):
        SnapshotsFile(str(tmp_path / "x.npy"))


def test_a_first_row_without_numbers_is_data_and_refused(tmp_path):
    (tmp_path / "x.csv").write_text("nan,nan\n" + "1,2\n3,5\n" * 10)
    with pytest.raises(InputError, match="line 1, column 1, holds 'nan'"):
        SnapshotsFile(str(tmp_path / "x.csv"))


def spoiled(table):
    table = table.copy()
    table[4, 1] = np.nan
    return table


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("nan.npy", spoiled, "1 of 50 snapshots hold NaN"),
        ("nan.csv", spoiled, "line 5, column 2, holds 'nan'"),
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
    ("text", "says"),
    [
        ("temp,flux\nK,W\n1,2\n3,5\n", "line 2, column 1 (temp), holds 'K'"),
        ("temp,flux\n1,2\n\n# a remark\n3,\n", "line 5, column 2 (flux), holds ''"),
        ("1,2\n3,inf\n", "line 2, column 2, holds 'inf'"),
        ("temp,flux,mass\n1,2\n3,5\n", "line 2 holds 2 columns, the first line 3"),
        ("1,2\n3,5,7\n", "line 2 holds 3 columns, the first line 2"),
        ("temp,temp\n1,2\n3,5\n", "two columns are named 'temp'"),
        ("temp,flux,mass\n1,2,7\n3,5,7\n", "feature mass is constant"),
        ("1,2,7\n3,5,7\n", "feature 3 of 3 is constant"),
    ],
)
def test_what_is_wrong_with_a_table_is_named_by_line_and_column(tmp_path, text, says):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=re.escape(says)):
        SnapshotsFile(str(tmp_path / "t.csv"))


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("temp, flux (W/m^2), mass", ("temp", "flux (W/m^2)", "mass")),
        ('temp,"flux, net",mass', ("temp", "flux, net", "mass")),
        ("\ufefftemp,flux,mass", ("temp", "flux", "mass")),
        ("# temp,flux,mass", ("temp", "flux", "mass")),
        (",flux,", ("x1", "flux", "x3")),
        (None, None),
    ],
)
def test_the_first_line_names_the_features(tmp_path, table, header, names):
    data = SnapshotsFile(write(tmp_path / "t.csv", table, header))
    data.setup()
    assert data.snapshots.names == names


@pytest.mark.parametrize(
    "fractions", [{"val": 0.0}, {"test": 0.7}, {"val": -0.1}, {"test": float("nan")}]
)
def test_fractions_held_out_are_bounded(tmp_path, table, fractions):
    (name,) = fractions
    with pytest.raises(InputError, match=rf"data\.{name}="):
        SnapshotsFile(write(tmp_path / "x.npy", table), **fractions)
