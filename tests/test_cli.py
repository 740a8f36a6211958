"""The command line: refusals, resuming, processes, the cache, and what loggers store."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import LIBRARY, ROOT, TINY, call, metrics

import eqflow
from eqflow.cli.checks import check_metric


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """A finished run of the smallest size, its loggers on, beside its cache."""
    folder = tmp_path_factory.mktemp("done")
    with pytest.MonkeyPatch.context() as patch:
        options = [
            *TINY,
            "logger=several",
            "trainer.log_every_n_steps=1",
            f"run_dir={folder}/run",
            f"cache_dir={folder}/cache",
        ]
        assert call(patch, *options) == 0
    return folder / "run"


REFUSALS = {
    "protocol.chaos=2.5": "protocol.chaos=2.5 found; expected a whole number",
    "protocol.starts=many": "protocol.starts=many found; expected a whole number",
    "protocol.horizons=5": "protocol.horizons=5 found; expected a list",
    "protocol.displaced=-1": "protocol.displaced=-1: expected a number >= 0",
    "null_horizon=a": "null_horizon=a found; expected a number",
    "tags=first": "tags=first found; expected a list",
    "nulls=null": "nulls=null found; expected a list",
    "flow.ensemble=2.5": "flow.ensemble=2.5 found; expected a whole number",
    "flow=network_weak flow.velocity_weight=a": "flow.velocity_weight=a found; expected a number",
    "flow.sigma=null": "flow.sigma=null found; expected a number",
    "null_horizon=null": "null_horizon=null found; expected a number",
    # what follows a grid of two sides and a noise to be estimated, which are right
    "data=gray_scott data.grid=[16,8] flow.sigma=-1": "flow.sigma=-1 is not a noise level",
    "data=icons data.canvas=[32,64] data.icon=[taiji,firfly]": "data.icon=firfly is unknown",
    "flow=library flow.training.noise_std=null seed=-1": "seed=-1: expected an integer >= 0",
    "threads=[1]": "threads=[1] found; expected a whole number",
    "threads=0": "threads=0: expected a whole number >= 1",
    "data=snapshots data.path=5": "data.path=5 found; expected the path of a file",
    "flow.evenness=-1": "flow.evenness=-1 found; expected a weight >= 0",
    "flow.seed=-1": "flow.seed=-1: expected an integer >= 0",
    "score.conservative=1": "score.conservative=1 found; expected true or false",
    "flow.ensemble=2 trainer=ddp_cpu": "flow.ensemble=2 trains in one process, found 2",
    "flow.exact=maybe": "flow.exact=maybe found; expected true, false or null",
    "flow=network_weak flow.exact=true": "flow.condition=weak; expected flow.exact=false",
    "flow=network flow.ensemble=0": "flow.ensemble=0 found",
    "batch_size=0": "batch_size=0: expected an integer >= 1",
    "epoch_steps=0": "epoch_steps=0: expected an integer >= 1",
    "stages=score": "expected a list of score, flow, evaluate",
    "stages=[evaluate]": "evaluate found without flow",
    "beside=[network]": "network is trained; expected untrained families",
    "trainer.devices=0": "trainer.devices=0: expected an integer >= 1",
    "score.training.steps=0": "score.training: steps=0",
    "flow.training.learning_rate=-1": "expected steps >= 1, learning_rate > 0",
    "flow.field.width=0": "width=0, depth=4 found; expected both >= 1",
    "data=nope": "Could not find 'data/nope' Available options in 'data': dysts",
    "flow=nope": "network",
    "flow.sigmma=1": "flow.sigmma is unknown; did you mean sigma?",
    "flow.field.widht=32": "flow.field.widht is unknown; did you mean width?",
    "sead=1": "sead is unknown; did you mean seed?",
    "flow.field.width=32.5": "flow.field.width=32.5 found; expected a whole number",
    "metric=foo": "metric=foo is no measure; expected a name of metrics.json",
    "flow.sigma=0": "flow.sigma=0 is not a noise level; expected sigma > 0",
    "flow.sigma=-0.1": "expected sigma > 0",
    "flow.condition=nope": "flow.condition=nope is unknown; expected strong",
    "flow.divergence=nope": "expected auto, exact or hutchinson",
    "flow.condition=weak flow.smoothness=-1": "flow.smoothness=-1",
    "flow=stream flow.principle=nope": "flow.principle=nope is unknown",
    "flow=stream flow.principle=velocities": "found without velocities; expected data.velocities",
    "data=lorenz data.velocities=0": "data.velocities=0 found; expected an integer from 1 to",
    "data=lorenz data.velocities=3 flow.velocity_weight=-1": "flow.velocity_weight=-1",
    "flow=library flow.field.degree=cubic": "flow.field.degree=cubic found",
    "flow=library flow.field.degree=60": "lower flow.field.degree",
    "flow=library flow.field.expressions=[q]": "flow.field.expressions",
    "flow=library flow.training.noise_std=2": "flow.training.noise_std=2",
    "flow=library flow.training.functions=0": "flow.training.functions=0",
    "flow=library integrator=heun_sde": "integrator.eta=0.1 needs the score",
    "data=dysts data.system=Lorentz": "expected Lorenz",
    "integrator.dt=0": "integrator.dt=0 is not a step",
    "stages=[score,nope]": "stages: nope is unknown",
    "nulls=[nope]": "flow.family=nope is unknown",
    "seed=-1": "seed=-1: expected an integer >= 0",
    "protocol.horizons=[0,1]": "horizons",
    "protocol.starts=0": "protocol.starts",
    "data.n=1": "found 1 snapshots to train",
    "data=snapshots": "data.path",
    "data=snapshots data.path=/nowhere.npy": "data.path=/nowhere.npy: no such file",
    "ckpt_path=/nowhere.ckpt": "ckpt_path=/nowhere.ckpt",
    "resume=true": "resume=true needs run_dir=<folder>",
    "resume=true run_dir=/nowhere": "run_dir=/nowhere: no run to resume",
    "a b": "missing EQUAL",
}


@pytest.mark.parametrize("options", REFUSALS)
def test_a_mistake_gets_one_sentence_and_code_2(options, tmp_path, monkeypatch, capfd):
    overrides = options.split()
    if "resume=true" not in overrides:
        overrides += [f"run_dir={tmp_path}/run"]
    assert call(monkeypatch, "logger=none", f"cache_dir={tmp_path}", *overrides) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line]
    assert line.startswith("error: ")
    assert REFUSALS[options] in line
    # numba makes its folder in the cache when a process first imports it
    assert {path.name for path in tmp_path.iterdir()} <= {"numba"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device is there")
def test_a_device_that_is_not_there_is_refused(tmp_path, monkeypatch, capfd):
    assert call(monkeypatch, "trainer=gpu", f"run_dir={tmp_path}/run") == 2
    assert "no GPU found" in capfd.readouterr().err


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_snapshots_that_are_not_finite_are_refused(value, tmp_path, monkeypatch, capfd):
    x = np.random.default_rng(0).normal(size=(100, 2))
    x[3, 1] = value
    np.save(tmp_path / "x.npy", x)
    options = ["data=snapshots", f"data.path={tmp_path}/x.npy", f"run_dir={tmp_path}/run"]
    assert call(monkeypatch, *options) == 2
    assert "1 of 100 snapshots hold NaN or infinity" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_more_dimensions_than_the_exact_divergence_can_afford_are_refused(
    tmp_path, monkeypatch, capfd
):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(40, 300)))
    options = ["data=snapshots", f"data.path={tmp_path}/x.npy", f"run_dir={tmp_path}/run"]
    assert call(monkeypatch, *options, "flow.divergence=exact", "beside=[skew]") == 2
    assert (
        "found d = 300; expected d <= 256, or flow.divergence=hutchinson" in capfd.readouterr().err
    )


def test_a_folder_that_exists_is_refused_and_left_alone(done, monkeypatch, capfd):
    before = sorted(done.rglob("*"))
    assert call(monkeypatch, *TINY, f"run_dir={done}") == 2
    assert f"run_dir={done} exists" in capfd.readouterr().err
    assert sorted(done.rglob("*")) == before


@pytest.mark.parametrize(
    "change", ["flow.field.width=8", "seed=1", "data.n=301", "score.conservative=false"]
)
def test_resuming_may_not_change_what_was_trained(change, done, monkeypatch, capfd):
    assert call(monkeypatch, f"run_dir={done}", "resume=true", change) == 2
    assert "would change what was trained" in capfd.readouterr().err
    assert "seed: 0" in (done / ".hydra" / "config.yaml").read_text()


def test_another_architecture_is_refused_as_a_start(done, tmp_path, monkeypatch, capfd):
    start = f"ckpt_path={done}/checkpoints/flow.ckpt"
    options = [*TINY, start, "flow.field.width=8", f"run_dir={tmp_path}/run"]
    assert call(monkeypatch, *options) == 2
    assert "belongs to another architecture" in capfd.readouterr().err


def test_a_run_starts_from_another_ones_parameters(done, tmp_path, monkeypatch):
    start = [f"ckpt_path={done}/checkpoints/flow.ckpt", f"cache_dir={done.parent}/cache"]
    still = [
        f"flow.{part}.{option}"
        for part in ("training", "projection")
        for option in ("steps=1", "learning_rate=1e-30")
    ]
    assert call(monkeypatch, *TINY, *start, *still, "logger=none", f"run_dir={tmp_path}/run") == 0
    x = torch.randn(5, 2)
    assert torch.equal(eqflow.load(tmp_path / "run").velocity(x), eqflow.load(done).velocity(x))


def test_every_measure_is_in_the_docs(done):
    """By its name, without whose it is, its horizon and what its spread is called."""
    page = (ROOT / "docs" / "measures.md").read_text()
    for name in metrics(done):
        measure = re.sub(r"^(beside|null)/\w+/|_h\d+$|_(std|error)$", "", name)
        group, _, last = measure.rpartition("/")
        assert f"`{group.split('/')[0]}/" in page, name
        assert last in page or group.endswith("chaos"), name


def test_every_measure_of_the_docs_can_be_a_metric():
    page = (ROOT / "docs" / "measures.md").read_text()
    topics = set(re.findall(r"^\| `(\w+)/", page, re.M))
    assert topics
    for topic in topics:
        check_metric(f"{topic}/any", watched=True)


def test_the_folder_holds_what_the_contract_names(done):
    written = {str(path.relative_to(done)) for path in done.rglob("*")}
    assert written >= {
        ".hydra/config.yaml",
        ".hydra/overrides.yaml",
        "checkpoints/score.ckpt",
        "checkpoints/network.ckpt",
        "checkpoints/flow.ckpt",
        "checkpoints/last.ckpt",
        "flow/config.json",
        "flow/model.safetensors",
        "metrics.json",
        "report.html",
        "run.log",
    }
    assert list((done / "figures").glob("*.png"))


def test_the_log_tells_what_was_run_and_found_each_line_once(done):
    lines = [line.partition(" ")[2] for line in (done / "run.log").read_text().splitlines()]
    told = [line for line in lines if line]
    assert len(set(told)) == len(told)
    assert any(line.startswith("choices: ") and " data=ring" in line for line in told)
    assert any(line.startswith("overrides: experiment=ring data.n=300") for line in told)
    for stage in ("score", "network", "flow"):
        assert f"{stage}: 4 steps" in told
        assert any(line.startswith(f"{stage}: done in ") for line in told)
    assert any(line.startswith("The distribution is ") for line in told)
    assert any(line.startswith("exact network ") for line in told)  # the row of the table
    assert told[-1] == f"page: {done / 'report.html'}"


def test_names_of_columns_reach_terminal_log_page_and_saved_model(tmp_path, monkeypatch, capfd):
    x = np.random.default_rng(0).normal(size=(900, 2)) @ [[1, 0.5], [0, 2]]
    header = "temp, flux (W/m^2)"
    np.savetxt(tmp_path / "t.csv", x, delimiter=",", header=header, comments="")
    folders = [f"run_dir={tmp_path}/run", f"cache_dir={tmp_path}/cache"]
    options = [option for option in LIBRARY if not option.startswith(("experiment", "data"))]
    data = ["data=snapshots", f"data.path={tmp_path}/t.csv"]
    monkeypatch.setenv("COLUMNS", "80")
    assert call(monkeypatch, *options, *data, *folders) == 0
    shown, run = capfd.readouterr().out, tmp_path / "run"
    rates = ["dtemp/dt           = ", "d[flux (W/m^2)]/dt = "]
    texts = [shown, (run / "run.log").read_text(), (run / "report.html").read_text()]
    for text in (*texts, eqflow.load(run).equations().text()):
        assert all(rate in text for rate in rates)
    assert "95 % interval" in shown
    assert "page: " in shown
    assert "choices: " not in shown


def test_a_run_without_evaluation_says_what_it_trained(tmp_path, monkeypatch, capfd):
    options = [*LIBRARY, f"run_dir={tmp_path}/run", f"cache_dir={tmp_path}/cache"]
    assert call(monkeypatch, *options, "stages=[score,flow]") == 0
    shown = capfd.readouterr().out
    assert "dx/dt = " in shown
    assert f"field: in {tmp_path}/run/flow" in shown
    assert f"run_dir={tmp_path}/run resume=true 'stages=[evaluate]'" in shown


def test_checkpoints_hold_plain_containers_and_their_stage(done):
    stages = {"score": "score", "network": "network", "flow": "flow", "last": "flow"}
    for name, stage in stages.items():
        content = torch.load(done / "checkpoints" / f"{name}.ckpt", weights_only=True)
        assert content["stage"] == stage


def test_a_finished_run_evaluated_again_gives_the_same_numbers(done, monkeypatch):
    before = metrics(done)
    assert call(monkeypatch, f"run_dir={done}", "resume=true", "logger=none") == 0
    assert metrics(done) == before


def test_stages_run_one_by_one_and_take_the_score_from_the_cache(tmp_path, monkeypatch):
    options = [*TINY, "logger=none", f"cache_dir={tmp_path}/cache"]
    early = [*options, f"run_dir={tmp_path}/early", "stages=[flow]"]
    assert call(monkeypatch, *early) == 2
    assert call(monkeypatch, *options, f"run_dir={tmp_path}/score", "stages=[score]") == 0
    assert not (tmp_path / "score" / "checkpoints" / "flow.ckpt").exists()
    late = [*options, f"run_dir={tmp_path}/flow", "stages=[flow,evaluate]"]
    assert call(monkeypatch, *late) == 0


def test_a_field_without_evaluation_is_loaded_and_one_of_the_snapshots_has_its_own_score(
    tmp_path, monkeypatch
):
    options = [*TINY, "logger=none", f"cache_dir={tmp_path}/cache", "stages=[score,flow]"]
    for number, condition in enumerate(("strong", "weak", "strong")):
        folder = [f"run_dir={tmp_path}/{number}", f"flow.condition={condition}"]
        assert call(monkeypatch, *options, *folder) == 0
    first, clean, again = (eqflow.load(tmp_path / str(number)) for number in range(3))
    x = np.zeros((1, 2))
    assert first.velocity(x) == pytest.approx(again.velocity(x))
    assert first.velocity(x) != pytest.approx(clean.velocity(x))
    assert clean.model.config["score"] == {"name": "empirical"}


def test_hutchinson_serves_dimensions_the_exact_divergence_does_not(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(60, 300)))
    options = ["data=snapshots", f"data.path={tmp_path}/x.npy", "flow.divergence=hutchinson"]
    small = [option for option in TINY if not option.startswith(("experiment", "data"))]
    folders = [f"run_dir={tmp_path}/run", f"cache_dir={tmp_path}/cache", "logger=none"]
    assert call(monkeypatch, *options, *small, *folders) == 0


def test_a_file_that_changed_is_refused_on_resume(tmp_path, monkeypatch, capfd):
    states = np.random.default_rng(0).normal(size=(60, 2))
    np.save(tmp_path / "x.npy", states)
    small = [option for option in TINY if not option.startswith(("experiment", "data"))]
    folders = [f"run_dir={tmp_path}/run", f"cache_dir={tmp_path}/cache", "logger=none"]
    options = ["data=snapshots", f"data.path={tmp_path}/x.npy", "stages=[score]"]
    assert call(monkeypatch, *options, *small, *folders) == 0
    np.save(tmp_path / "x.npy", 2 * states)
    capfd.readouterr()
    assert call(monkeypatch, f"run_dir={tmp_path}/run", "resume=true") == 2
    assert "x.npy changed since" in capfd.readouterr().err


def test_a_bad_option_ends_a_sweep_with_its_sentence(tmp_path, monkeypatch, capfd):
    options = ["-m", *TINY, "logger=none", f"hydra.sweep.dir={tmp_path}", "seed=-1"]
    assert call(monkeypatch, *options) == 2
    assert "seed=-1: expected an integer" in capfd.readouterr().err


def test_a_score_is_trained_once_and_found_again(done, tmp_path, monkeypatch):
    (cached,) = (done.parent / "cache" / "score").glob("*.ckpt")
    written = cached.stat().st_mtime_ns
    options = [f"cache_dir={done.parent}/cache", f"run_dir={tmp_path}/run", "logger=none"]
    skew = [option for option in TINY if not option.startswith("flow")]
    assert call(monkeypatch, *skew, "flow=skew", *options) == 0
    assert cached.stat().st_mtime_ns == written


def test_csv_holds_training_and_the_full_numbers(done):
    (file,) = done.glob("csv/**/metrics.csv")
    header = file.read_text().splitlines()[0].split(",")
    assert {"score/val_loss", "flow/val_loss", "preservation/mmd2_ratio"} <= set(header)


def test_one_process_and_two_give_the_same_numbers(tmp_path, monkeypatch):
    uneven = [*TINY, "data.n=301", "batch_size=100", "data.test=101", "logger=none"]
    for name, trainer in (("one", "cpu"), ("two", "ddp_cpu")):
        folder = [f"run_dir={tmp_path}/{name}", f"cache_dir={tmp_path}/{name}_cache"]
        assert call(monkeypatch, *uneven, f"trainer={trainer}", *folder) == 0
    assert metrics(tmp_path / "two") == pytest.approx(metrics(tmp_path / "one"), rel=1e-5)
    one, two = ((tmp_path / name / "run.log").read_text() for name in ("one", "two"))
    assert len(two.splitlines()) == len(one.splitlines())  # a single process speaks
