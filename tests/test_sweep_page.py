"""The page of a sweep, from folders as jobs leave them."""

import csv
import json
import re
from html import unescape

import pytest
from matplotlib import pyplot, rcParams
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution

from eqflow.cli.sweeps.page import Page, jobs, rebuild
from eqflow.errors import InputError
from eqflow.evaluation import RANK
from eqflow.report.sweep.comparison import Comparison, Job
from eqflow.report.sweep.page import write_sweep
from eqflow.report.sweep.plots import RANKED_TRIALS, parallel_coordinates
from eqflow.report.sweep.study import LISTED_NUMBERS, LISTED_WORDS, study_of

METRIC = RANK
EVIL = "<script>alert(1)</script>$\\bad$"


def leave(folder, name, overrides, state=None, metrics=None, page=True):
    """What a job leaves in its folder; text is written as it is, even if it is no JSON."""
    place = folder / name
    (place / ".hydra").mkdir(parents=True)
    (place / ".hydra" / "overrides.yaml").write_text(json.dumps(overrides))
    for file, content in (("status.json", state), ("metrics.json", metrics)):
        if content is not None:
            (place / file).write_text(content if isinstance(content, str) else json.dumps(content))
    (place / ("report.html" if page else "run.log")).touch()


def ended(status, error=""):
    """A job's ``status.json``."""
    return {"status": status, "error": error, "started": "2025-01-01T00:00:00", "seconds": 12.5}


@pytest.fixture
def sweep(tmp_path):
    folder = tmp_path / "lorenz" / "2025-01-01"
    nulls = {f"null/random/{METRIC}": 0.9, f"null/score/{METRIC}": 0.7, "null/score/truth/cos": 0.1}
    good = {METRIC: 0.25, "truth/cos": 0.75, "time/flow_s": 3.0, **nulls}
    leave(folder, "0", ["seed=0", "flow=skew", "+note=a"], ended("finished"), good)
    leave(folder, "1", ["seed=1", "flow=skew", "+note=a"], ended("finished"), good | {METRIC: 0.5})
    leave(folder, "2", ["seed=2", f"flow={EVIL}"], ended("failed", f"Error: {EVIL}"), page=False)
    leave(folder, "3", ["seed=3", "flow=skew"], ended("pruned"))
    leave(folder, "4", ["seed=4", "flow=skew"], ended("running"))
    leave(folder, "5", ["seed=5", "flow=skew"], '{"status": "fin', '{"resid')
    leave(folder, "10", ["seed=10", "flow=skew"], ended("finished"), {METRIC: float("nan")})
    (folder / "5" / ".hydra" / "overrides.yaml").write_text("- ['")
    (folder / "7").mkdir()  # no job has begun here
    for job in "0", "1", "2", "3", "4", "10":
        path = folder / job / ".hydra" / "overrides.yaml"
        path.write_text(json.dumps(["experiment=lorenz", *json.loads(path.read_text())]))
    return folder


def written(folder):
    """The page, its table by rows of raw values, and the programs' two versions of it."""
    page = (folder / "report.html").read_text(encoding="utf-8")
    names = [unescape(n) for n in re.findall(r'<th scope="col"[^>]* title="([^"]*)" aria', page)]
    body = page[page.index('id="jobs"') :].partition("<tbody>")[2].partition("</tbody>")[0]
    rows = [re.findall(r"<t[hd]([^>]*)>", row) for row in body.split("<tr>")[1:]]
    values = [[re.search('data-value="([^"]*)"', cell) for cell in row] for row in rows]
    table = [[unescape(value[1]) if value else "" for value in row] for row in values]
    with (folder / "sweep.csv").open(encoding="utf-8", newline="") as file:
        return (
            page,
            names,
            table,
            list(csv.DictReader(file)),
            json.loads((folder / "sweep.json").read_text()),
        )


def test_jobs_are_read_in_their_order_whatever_is_broken(sweep):
    found = {job.name: job for job in jobs(sweep)}
    assert list(found) == ["0", "1", "2", "3", "4", "5", "10"]
    assert [found[n].status for n in found] == [
        *["finished", "finished", "failed", "pruned", "unfinished", "unfinished", "finished"]
    ]
    assert found["0"].overrides == {
        "experiment": "lorenz",
        "seed": "0",
        "flow": "skew",
        "note": "a",
    }
    assert found["5"] == Job("5", opens="report.html")
    assert (found["2"].opens, found["2"].seconds) == ("run.log", 12.5)


@pytest.mark.parametrize("content", ["[]", "3", "", '{"status": ["x"]}', "\x00"])
def test_a_status_that_makes_no_sense_is_that_of_an_unfinished_job(tmp_path, content):
    leave(tmp_path, "0", ["seed=0"], content, content)
    assert jobs(tmp_path)[0].status == "unfinished"


def test_the_page_says_how_jobs_ended_and_which_is_best(sweep):
    rebuild(sweep)
    page = written(sweep)[0]
    text = " ".join(unescape(re.sub("<[^>]*>", " ", page)).split())
    assert "lorenz 2025-01-01" in text
    assert "7 jobs: 3 finished, 1 failed, 1 pruned, 2 unfinished." in text
    assert "The least preservation/rank is 0.25, of job 0 (seed=0, flow=skew, note=a)" in text
    assert "the best null there has 0.7" in text
    assert "all jobs experiment=lorenz metric" in text
    assert f"Error: {EVIL} 1 job: 2" in text
    assert 'href="10/report.html"' in page
    assert 'href="2/run.log"' in page


def test_the_table_is_the_same_on_the_page_and_in_both_files(sweep):
    rebuild(sweep)
    _, names, table, lines, stored = written(sweep)
    assert names[:5] == ["job", "seed", "flow", "note", "status"]
    assert names[5:] == [
        METRIC,
        f"null/best/{METRIC}",
        "truth/cos",
        "null/best/truth/cos",
        "seconds",
    ]
    assert [list(line) for line in lines] == [[*names, "error"]] * 7
    shown = [["" if line[n] == "nan" else line[n] for n in names] for line in lines]
    assert shown == table
    assert table[0] == ["0", "0", "skew", "a", "finished", "0.25", "0.7", "0.75", "0.1", "12.5"]
    for row, line in zip(stored["jobs"], lines, strict=True):
        assert {n: "" if row[n] is None else str(row[n]) for n in line} == line
    assert stored["jobs"][0]["metrics"]["time/flow_s"] == 3.0
    assert stored["summary"] == {
        "metric": METRIC,
        "direction": "minimise",
        "best": ["0", "1"],
        "counts": {"finished": 3, "failed": 1, "pruned": 1, "unfinished": 2},
        "overrides": {"experiment": "lorenz"},
    }


def test_nothing_is_loaded_and_everything_is_escaped(tmp_path):
    given = {"a": EVIL, '"b><script>': "1"}
    made = [
        Job('"0><script>#', given, "finished", metrics={EVIL: 1.0}, opens="report.html"),
        Job("javascript:1", {"a": "b"}, "failed", EVIL, opens="run.log"),
        Job("2", {"a": "c"}, "finished", metrics={EVIL: 2.0}),
    ]
    write_sweep(tmp_path, Comparison(made, EVIL), {EVIL: b"png"})
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<script>") == 1
    assert not re.search(r"https?://|<link|@import|url\(", page)
    assert 'href="javascript%3A1/run.log"' in page
    assert 'href="%220%3E%3Cscript%3E%23/report.html"' in page


def test_the_metric_is_the_one_that_was_named(sweep):
    stored = "metric: truth/cos\nname: ${nothing}\nhydra: {sweeper: {direction: maximize}}\n"
    (sweep / "multirun.yaml").write_text(stored)
    rebuild(sweep)
    summary = written(sweep)[4]["summary"]
    assert (summary["metric"], summary["direction"]) == ("truth/cos", "maximise")
    (sweep / "multirun.yaml").unlink()
    (sweep / "1" / ".hydra" / "resolved.yaml").write_text("metric: time/flow_s\n")
    rebuild(sweep)
    assert written(sweep)[4]["summary"]["metric"] == "time/flow_s"


def test_the_hook_writes_the_page_of_its_sweep_with_a_searchs_pictures(sweep):
    (sweep / "figures").mkdir()
    (sweep / "figures" / "history.png").write_bytes(b"png")
    config = OmegaConf.create({"metric": None, "hydra": {"sweep": {"dir": str(sweep)}}})
    Page().on_multirun_end(config)
    assert "<figcaption>history</figcaption>" in (sweep / "report.html").read_text()


def test_a_folder_without_jobs_is_refused_in_a_sentence(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(
            InputError, match=f"report={folder}: found no jobs of a sweep; expected"
        ):
            rebuild(folder)
    assert not list(tmp_path.iterdir())


def test_nothing_measured_still_gives_a_page(tmp_path):
    write_sweep(tmp_path, Comparison([Job("0", {"seed": "0"}), Job("1", {"seed": "1"})], None))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No job has measured a metric." in page
    assert "<img" not in page


def test_the_best_of_a_maximised_metric_and_of_its_nulls_is_the_largest():
    made = [
        Job(str(k), {"seed": str(k)}, metrics={"m": k, "null/a/m": 3.0, "null/b/m": 4.0})
        for k in range(3)
    ]
    compared = Comparison([*made, Job("3", metrics={"m": float("inf")})], "m", maximise=True)
    assert [job.name for job in compared.ranked] == ["2", "1", "0"]
    assert compared.rows["0"]["null/best/m"] == 4.0
    assert "The largest m is 2, of job 2 (seed=2); the best null there has 4." in compared.headline


def asked(texts, metric=float):
    """A sweep over one option with these values; ``metric`` of their numbers."""
    jobs = [Job(str(k), {"o": t}, metrics={"m": metric(k)}) for k, t in enumerate(texts) if t]
    bare = [Job(str(k), {}, metrics={"m": metric(k)}) for k, t in enumerate(texts) if not t]
    return Comparison([*jobs, *bare, Job("unmeasured", {"o": "x"})], "m")


MANY = [str(k) for k in range(LISTED_NUMBERS + 1)]
DECADES = [f"1e-{k}" for k in range(LISTED_NUMBERS + 1)]


@pytest.mark.parametrize(
    ("texts", "distribution"),
    [
        (["128", "64", "128", "9"], CategoricalDistribution([9, 64, 128])),
        (["skew", "0.1", "nan"], CategoricalDistribution(["0.1", "nan", "skew"])),
        (["$x$", "a_b"], CategoricalDistribution([r"\$x\$", "a_b"])),
        (MANY, FloatDistribution(0, LISTED_NUMBERS)),
        (DECADES, FloatDistribution(10.0**-LISTED_NUMBERS, 1, log=True)),
        ([None, *DECADES], FloatDistribution(10.0**-LISTED_NUMBERS, 1, log=True)),
    ],
)
def test_options_become_lists_of_words_and_few_numbers_or_ranges(texts, distribution):
    trials = study_of(asked(texts)).trials
    assert len(trials) == len(texts)
    assert [t.distributions["o"] for t in trials if t.params] == [distribution] * sum(
        map(bool, texts)
    )


def test_options_of_too_many_words_are_left_out():
    words = [f"job {k}" for k in range(LISTED_WORDS + 1)]
    assert study_of(asked(words[1:])).trials[0].params
    assert not study_of(asked(words)).trials[0].params


def test_a_metric_that_ranges_over_decades_is_a_logarithm():
    study = study_of(asked(["a", "b", "c"], lambda k: 10.0**k))
    assert [trial.value for trial in study.trials] == pytest.approx([0, 1, 2])
    assert study.metric_names == ["log10 m"]


@pytest.mark.parametrize("maximise", [False, True])
def test_every_measured_job_is_a_line_and_the_best_is_on_top(maximise):
    metrics = {"a": 1.0, "b": 3.0, "c": 2.0}
    made = [Job(n, {"$n": n, "k": str(v)}, metrics={"m": v}) for n, v in metrics.items()]
    figure = parallel_coordinates(
        study_of(Comparison([*made, Job("d", {"k": "d"})], "m", maximise))
    )
    (lines,) = figure.axes[0].collections
    assert lines.get_array().tolist() == ([1, 2, 3] if maximise else [3, 2, 1])
    assert lines.get_linewidth()[-1] > lines.get_linewidth()[0]
    names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert names == ["m", r"\$n", "k"]


@pytest.mark.parametrize("given", [[{"seed": "0"}], [{"seed": "0"}, {"seed": "0"}], []])
def test_nothing_is_drawn_of_one_job_or_where_nothing_varies(given):
    made = [Job(str(k), o, metrics={"m": float(k)}) for k, o in enumerate(given)]
    assert parallel_coordinates(study_of(Comparison(made, "m"))) is None


@pytest.mark.parametrize(("jobs", "images"), [(RANKED_TRIALS, 2), (RANKED_TRIALS - 1, 1)])
def test_importances_need_many_jobs_and_no_style_of_optuna_stays(jobs, images, tmp_path):
    before = dict(rcParams)
    made = [
        Job(str(k), {"a": str(k % 3), "b": str(k % 2)}, metrics={"m": k / 7}) for k in range(jobs)
    ]
    write_sweep(tmp_path, Comparison(made, "m"))
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count("<img") == images
    assert dict(rcParams) == before
    assert not pyplot.get_fignums()
