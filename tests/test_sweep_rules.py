"""Rules side by side on the page of a sweep, and jobs that differ by seeds alone."""

import re

import pytest

from eqflow.cli.sweeps.page import jobs
from eqflow.report.sweep import films
from eqflow.report.sweep.comparison import Comparison, Job
from eqflow.report.sweep.films import ordered, rules
from eqflow.report.sweep.page import write_sweep
from eqflow.report.sweep.seeds import repeated

LIVING = {"density_ratio": 1.0, "whole": 0.95, "persistent": 0.9, "polar_order_chance": 0.2}


def rule(name, overrides=None, film="", **numbers):
    found = {f"behaviour/{n}": float(v) for n, v in (LIVING | numbers).items()}
    found |= {"null/rest/behaviour/whole": 1.0}
    return Job(name, overrides or {"flow.seed": name}, "finished", metrics=found, film=film)


@pytest.fixture
def watched():
    """Rules in the order of their ratios, of which the fastest ones break what moves."""
    return [
        rule("slow", displacement_ratio=2, polar_order=0.9),
        rule("swarm", displacement_ratio=30, persistent=0.7, polar_order=0.1),
        rule("fast", displacement_ratio=5, polar_order=0.3),
        rule("crowd", displacement_ratio=40, density_ratio=1.5, polar_order=0.2),
        rule("unknown", polar_order=0.5),
        Job("unwatched", {"flow.seed": "9"}, "finished", metrics={"preservation/rank": 0.0}),
        Job("failed", {"flow.seed": "8"}, "failed"),
    ]


@pytest.mark.parametrize(
    ("metric", "maximise", "expected"),
    [
        ("preservation/rank", False, ["fast", "slow", "unknown", "crowd", "swarm"]),
        ("behaviour/polar_order", False, ["fast", "unknown", "slow", "swarm", "crowd"]),
        ("behaviour/polar_order", True, ["slow", "unknown", "fast", "crowd", "swarm"]),
    ],
)
def test_films_are_ordered_by_what_is_asked_for_and_broken_rules_come_last(
    watched, metric, maximise, expected
):
    assert [job.name for job in ordered(Comparison(watched, metric, maximise))] == expected


def page_of(folder, sweep):
    write_sweep(folder, sweep)
    return (folder / "report.html").read_text(encoding="utf-8")


def filmed(folder, name, **numbers):
    """A rule, and what stands for its film in its folder."""
    place = folder / name / "figures"
    place.mkdir(parents=True)
    (place / "film.mp4").write_bytes(b"film of " + name.encode())
    return rule(name, film="figures/film.mp4", **numbers)


def test_films_stand_in_the_page_or_are_linked_to_where_they_are_too_large(tmp_path, monkeypatch):
    made = [filmed(tmp_path, name, displacement_ratio=k) for k, name in enumerate(("a", "b#"))]
    sweep = Comparison(made, None)
    assert page_of(tmp_path, sweep).count('src="data:video/mp4;base64,ZmlsbSBvZiBh') == 1
    monkeypatch.setattr(films, "EMBEDDED_BYTES", 12)
    page = page_of(tmp_path, sweep)
    assert re.findall('<video[^>]* src="([^"]*)"', page) == [
        *("b%23/figures/film.mp4", "a/figures/film.mp4")
    ]
    assert "needs them\nbeside it" in page


def test_a_broken_rule_says_what_is_broken(tmp_path, watched):
    shown = {rule.job.name: rule.broken for rule in rules(Comparison(watched, None), tmp_path)}
    assert shown["fast"] == ""
    assert shown["swarm"] == "persistent below 0.8"
    assert shown["crowd"] == "density ratio not from 0.7 to 1.4"
    assert page_of(tmp_path, Comparison(watched, None)).count("Broken: ") == 2


def test_measures_of_behaviour_stand_in_the_table_without_a_null(watched):
    compared = Comparison(watched, "preservation/rank")
    assert compared.headings["behaviour/displacement_ratio"] == "displacement / noise"
    assert "behaviour/polar_order_chance" in compared.headings
    assert not [name for name in compared.headings if name.startswith("null/best/behaviour")]
    assert "null/best/behaviour/whole" in Comparison(watched, "behaviour/whole").headings


def test_no_films_are_spoken_of_where_nothing_was_watched(tmp_path):
    page = page_of(tmp_path, Comparison([Job("0", {"a": "1"}, metrics={"m": 1.0})], "m"))
    assert "<video" not in page
    assert "<h2>Films" not in page
    assert "Over seeds" not in page


def test_a_job_knows_its_film(tmp_path):
    for name in ("0", "1"):
        (tmp_path / name / ".hydra").mkdir(parents=True)
    (tmp_path / "0" / "figures").mkdir()
    (tmp_path / "0" / "figures" / "film.mp4").touch()
    assert [job.film for job in jobs(tmp_path)] == ["figures/film.mp4", ""]


def test_jobs_that_differ_by_seeds_alone_are_summed_up(tmp_path):
    def job(name, radius, seed, draws, ratio, **numbers):
        options = {"flow.field.radius": radius, "seed": seed, "protocol.seed": draws}
        return rule(name, options, displacement_ratio=ratio, **numbers)

    made = [
        job("0", "0", "0", "0", 1.0),
        job("1", "1", "0", "0", 9.0),
        job("2", "0", "0", "1", 2.0, whole=0.5),
        job("3", "0", "1", "0", 6.0),
        Job("4", {"flow.field.radius": "1", "seed": "0", "protocol.seed": "1"}, "failed"),
    ]
    sweep = Comparison(made, None)
    (found,) = repeated(sweep)
    assert found.options == {"flow.field.radius": "0"}
    assert [job.name for job in found.jobs] == ["0", "2", "3"]
    assert found.living == 2
    assert found.cell("behaviour/displacement_ratio") == "3 ± 2.6"
    assert found.cell("nothing") == "\N{EN DASH}"
    assert "3 ± 2.6" in page_of(tmp_path, sweep)


def test_a_measure_that_some_jobs_lack_says_how_many_have_it():
    made = [Job(str(k), {"seed": str(k)}, metrics={"m": k, "r": 0.0}) for k in range(3)]
    made.append(Job("3", {"seed": "3"}, metrics={"m": float("nan")}))
    (found,) = repeated(Comparison(made, "m"))
    assert found.living is None
    assert found.cell("m") == "1 ± 1 (3 jobs)"
