"""The leaderboard of a sweep: what each job found, why not, and how many."""

import json
from dataclasses import asdict

import pytest

from eqflow.cli.sweeps.leaderboard import rows
from eqflow.discovery import Findings
from eqflow.report.sweep.leaderboard import summary, table, write_leaderboard

FINDINGS = Findings(
    degree=2,
    degrees=[],
    terms=1,
    path=[],
    p_value=0.4,
    effect_size=0.0,
    spectrum=[1.0, 30.0],
    error=0.1,
    dimension=1,
    gap=30.0,
    direction=0.999,
    divergence=-1.0,
    divergence_error=0.01,
    oriented=True,
    escaped=0.0,
    drift=0.0,
    time=100.0,
    low=[[0.0]],
    high=[[1.0]],
    inclusion=[[1.0]],
)


def job(folder, number, family, cosine, p_value):
    """A finished job's files."""
    place = folder / str(number)
    (place / ".hydra").mkdir(parents=True)
    (place / "flow").mkdir()
    config = f"data: {{system: Lorenz}}\nflow: {{family: {family}}}\n"
    (place / ".hydra" / "resolved.yaml").write_text(config)
    numbers = {
        "truth/cos": cosine,
        "truth/cos_min": cosine / 2,
        "stationarity/p_value": p_value,
        "time/flow_s": 2.0,
    }
    if family == "library":
        found = asdict(FINDINGS) | {"p_value": p_value}
        (place / "flow" / "findings.json").write_text(json.dumps(found))
        numbers |= {"selection/p_value": p_value, "stationarity/p_value": 0.5}
    (place / "metrics.json").write_text(json.dumps(numbers))


@pytest.fixture
def sweep(tmp_path):
    job(tmp_path, 0, "network", 0.9, 0.3)
    job(tmp_path, 1, "library", 0.999, 0.4)
    job(tmp_path, 2, "network", 0.2, 0.001)
    job(tmp_path, 3, "library", 0.9, 0.4)
    (tmp_path / "4").mkdir()  # a job that failed
    return tmp_path


def test_rows_are_the_finished_jobs_with_the_test_that_decides(sweep):
    found = rows(sweep)
    assert [row["job"] for row in found] == ["1", "3", "0", "2"]
    assert [row["p_value"] for row in found] == [0.4, 0.4, 0.3, 0.001]


def test_only_equations_can_be_determined(sweep):
    best, other, kept, rejected = rows(sweep)
    assert best["reason"] == other["reason"] == ""
    assert "distribution is kept" in kept["reason"]
    assert "p = 0.001" in rejected["reason"]


def test_equations_far_from_the_truth_count_as_wrongly_determined(sweep):
    counts = summary(rows(sweep))
    assert (counts["systems"], counts["determined"], counts["wrongly determined"]) == (4, 2, 1)
    assert (counts["cos >= 0.95"], counts["cos >= 0.999"]) == (1, 1)


def test_columns_that_no_row_has_are_left_out_and_files_are_written(sweep):
    found = rows(sweep)
    assert "| of the truth |" not in table(found)
    assert "family" in table(found)
    assert "| 0.99900 | 0.49950 |" in table(found)
    write_leaderboard(sweep, found)
    assert json.loads((sweep / "leaderboard.json").read_text())["systems"] == found
    assert (sweep / "leaderboard.png").stat().st_size > 1000
