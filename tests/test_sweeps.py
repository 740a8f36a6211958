"""Sweeps and searches: what becomes of jobs that end, fail, or were stopped half-way."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from itertools import product
from pathlib import Path
from shutil import which
from typing import NamedTuple

import optuna
import pytest
import runs
import torch
from filelock import Timeout
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from runs import ROOT, TINY

from callbacks import Pruning
from callbacks.pruning import open_storage
from eqflow.cli import main
from eqflow.cli.checks import RUN_LOCK
from eqflow.cli.processes import launch
from eqflow.cli.resume import RESOLVED_CONFIG
from eqflow.cli.status import Status, read_status, recorded
from eqflow.cli.sweeps.job import take_gpu
from eqflow.errors import InputError, Pruned
from eqflow.evaluation import RANK
from eqflow.runtime import locked
from hydra_plugins.eqflow_sweepers.common import LONGEST_NAME, joined
from hydra_plugins.eqflow_sweepers.space import parse

REST = ("lorenz", "two_moons", "two_peaks", "zoo")
RATE = "flow.training.learning_rate"
SEARCH = ["sweep=optuna", "hydra.sweeper.n_trials=6"]


def call(monkeypatch, *overrides: str) -> int:
    """Run a sweep in this process and return the exit code."""
    return runs.call(monkeypatch, "-m", *TINY, "logger=none", *overrides)


class Jobs:
    """In place of jobs that train: learning rates that were asked for, and what becomes of them."""

    def __init__(self) -> None:
        self.seen: list[float] = []
        self.becomes = lambda cfg: cfg.flow.training.learning_rate

    def __call__(self, cfg):
        self.seen.append(cfg.flow.training.learning_rate)
        OmegaConf.save(cfg, Path(cfg.run_dir) / RESOLVED_CONFIG)
        return self.becomes(cfg)


@pytest.fixture
def jobs(monkeypatch) -> Jobs:
    found = Jobs()
    monkeypatch.setattr(launch, "launch", found)
    return found


def failing(rate: float, error: Exception):
    """A job that fails at one learning rate and gives 1 at any other."""

    def becomes(cfg):
        if cfg.flow.training.learning_rate == rate:
            raise error
        return 1.0

    return becomes


def study(folder: Path, name: str = "ring") -> optuna.Study:
    storage = open_storage(str(folder / "search.journal"))
    return optuna.load_study(study_name=name, storage=storage)


# grid


def test_a_grid_runs_every_combination_in_one_folder(jobs, tmp_path, monkeypatch):
    folder = f"sweep_dir={tmp_path}/${{name}}"
    assert call(monkeypatch, f"{RATE}=0.1,0.2", "experiment=ring,two_moons", folder) == 0
    assert sorted(jobs.seen) == [0.1, 0.1, 0.2, 0.2]
    (made,) = tmp_path.iterdir()
    assert made.name == "ring+two_moons"
    (made / "report.html").unlink()
    monkeypatch.setattr(sys, "argv", ["run.py", f"report={made}"])
    main()
    assert (made / "report.html").is_file()
    assert {read_status(made / str(k)).status for k in range(4)} == {"finished"}


def test_a_sweep_over_very_many_things_has_a_short_name():
    assert joined(["ring", "two_peaks"]) == "ring+two_peaks"
    assert joined([f"system_{k:02}" for k in range(30)]).endswith("+system_04+25_more")
    assert len(joined(["x" * 99])) == len(joined(["x" * 99, "y"])) == LONGEST_NAME


def test_the_jobs_of_an_identifiability_sweep_start_from_weights_of_their_own(
    jobs, tmp_path, monkeypatch, capfd
):
    """``flow.seed`` is the number of the job, which a sweep's checks have to know as well."""
    seeds = []
    jobs.becomes = lambda cfg: seeds.append(cfg.flow.seed)
    assert (
        call(
            monkeypatch,
            "experiment=lorenz_identifiability",
            "data.n=300",
            "data.seed=0",
            "flow.condition=strong",
            f"sweep_dir={tmp_path}/s",
        )
        == 2
    )
    assert sorted(seeds) == list(range(2 * 3))  # with Fourier features or without, at three levels
    assert "found no job with a field" in capfd.readouterr().err


def test_jobs_of_a_sweep_share_its_name_as_group(jobs, tmp_path, monkeypatch):
    groups = []
    jobs.becomes = lambda cfg: groups.append(cfg.group)
    assert call(monkeypatch, "seed=0,1", f"sweep_dir={tmp_path}/mine") == 0
    assert groups == ["mine", "mine"]


def test_a_job_that_fails_ends_no_other_and_the_sweep_says_so(jobs, tmp_path, monkeypatch, capfd):
    jobs.becomes = failing(0.2, InputError("flow.training: broken"))
    assert call(monkeypatch, f"{RATE}=0.1,0.2,0.3", f"sweep_dir={tmp_path}/s") == 2
    assert "error: flow.training: broken" in capfd.readouterr().err
    found = [read_status(tmp_path / "s" / str(k)) for k in range(3)]
    assert [s.status for s in found] == ["finished", "failed", "finished"]
    assert found[1].error == "flow.training: broken"
    assert "flow.training: broken" in (tmp_path / "s" / "report.html").read_text()


def test_nothing_starts_if_one_job_of_a_grid_is_wrong(jobs, tmp_path, monkeypatch, capfd):
    assert call(monkeypatch, "flow.sigma=0.1,-0.1", f"sweep_dir={tmp_path}/s") == 2
    assert "flow.sigma=-0.1" in capfd.readouterr().err
    assert not jobs.seen
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(which("srun") is not None, reason="SLURM is there")
@pytest.mark.parametrize("sweep", [["seed=0,1"], SEARCH], ids=["grid", "search"])
def test_slurm_that_is_not_there_is_refused(sweep, tmp_path, monkeypatch, capfd):
    folder = f"sweep_dir={tmp_path}/s"
    assert call(monkeypatch, *sweep, "hydra/launcher=submitit_slurm", folder) == 2
    assert "found no srun" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_sweeps_folder_is_taken_once(jobs, tmp_path, monkeypatch, capfd):
    options = ["seed=0,1", f"sweep_dir={tmp_path}/s"]
    assert call(monkeypatch, *options) == 0
    assert call(monkeypatch, *options) == 2
    assert f"sweep_dir={tmp_path}/s exists" in capfd.readouterr().err
    assert len(jobs.seen) == 2


def test_a_sweeps_folder_is_locked_until_its_end(jobs, tmp_path, monkeypatch):
    lock, free = locked(tmp_path / "s" / RUN_LOCK), []

    def becomes(cfg):
        with suppress(Timeout), lock.acquire(blocking=False):
            free.append(cfg.seed)
        return 1.0

    jobs.becomes = becomes
    assert call(monkeypatch, "seed=0,1", f"sweep_dir={tmp_path}/s") == 0
    assert len(jobs.seen) == 2
    assert not free
    lock.acquire(blocking=False)


def test_a_sweep_that_goes_on_runs_only_what_was_not_finished(jobs, tmp_path, monkeypatch):
    jobs.becomes = failing(0.2, RuntimeError("the disk burnt down"))
    assert call(monkeypatch, f"{RATE}=0.1,0.2", f"sweep_dir={tmp_path}/s") == 1
    resumed = []
    jobs.becomes = lambda cfg: resumed.append(cfg.resume)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["run.py", "resume=true", "sweep_dir=s"])
    main()
    assert jobs.seen == [0.1, 0.2, 0.2]
    assert resumed == [True]
    monkeypatch.setattr(
        sys, "argv", ["run.py", "resume=true", f"sweep_dir={tmp_path}/s", "protocol.starts=40"]
    )
    main()  # another protocol: all are evaluated anew
    assert jobs.seen == [0.1, 0.2, 0.2, 0.1, 0.2]


# search


def test_a_search_keeps_to_its_space_and_is_the_same_for_the_same_seed(jobs, tmp_path, monkeypatch):
    options = [*SEARCH, f"{RATE}=tag(log,interval(0.001,0.1))", "flow.field.width=choice(8,16)"]
    for name in ("one", "two"):
        assert call(monkeypatch, *options, f"sweep_dir={tmp_path}/{name}") == 0
    one, two = study(tmp_path / "one").trials, study(tmp_path / "two").trials
    assert [t.params for t in one] == [t.params for t in two]
    assert all(0.001 <= t.params[RATE] <= 0.1 for t in one)
    assert {t.params["flow.field.width"] for t in one} <= {8, 16}
    assert [t.value for t in one] == [t.params[RATE] for t in one] == jobs.seen[:6]
    figures = {path.name for path in (tmp_path / "one" / "figures").iterdir()}
    assert figures == {"history_tuned_metric.png", "importances_tuned_metric.png"}


@pytest.mark.parametrize(
    "experiment",
    ["ring", *(pytest.param(e, marks=pytest.mark.slow) for e in REST)],
)
@pytest.mark.parametrize("flow", ["network", "network_weak", "library", "skew"])
def test_every_experiment_and_family_can_be_searched(experiment, flow, tmp_path, monkeypatch):
    """The configurations of its first trials pass all checks."""
    asked = []
    monkeypatch.setattr(launch, "launch", lambda cfg: asked.append(cfg) or 1.0)
    options = ["-m", "sweep=optuna", f"experiment={experiment}", f"flow={flow}"]
    options += ["hydra.sweeper.n_trials=2", f"sweep_dir={tmp_path}/s"]
    assert runs.call(monkeypatch, *options) == 0
    assert len(asked) == 2
    assert asked[0].flow != asked[1].flow or asked[0].score != asked[1].score


@pytest.mark.parametrize("behaviour", ["fastest", "flocking"])
def test_rules_are_searched_on_one_score(behaviour, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(launch, "launch", lambda cfg: asked.append(cfg) or 1.0)
    options = ["-m", "experiment=alife", "sweep=optuna", f"search={behaviour}"]
    options += ["hydra.sweeper.n_trials=3", "logger=none", f"sweep_dir={tmp_path}/s"]
    assert runs.call(monkeypatch, *options) == 0
    assert asked[0].metric == f"behaviour/rank_{behaviour}"
    assert len({cfg.flow.seed for cfg in asked}) == len({cfg.integrator.eta for cfg in asked}) == 3
    assert [cfg.score for cfg in asked] == [asked[0].score] * 3
    assert {(cfg.seed, cfg.protocol.seed, cfg.protocol.starts) for cfg in asked} == {(0, 0, 16)}


def test_the_best_trial_is_run_again_in_full_and_any_trial_goes_on_alone(
    jobs, tmp_path, monkeypatch, capfd
):
    sweep, asked = tmp_path / "s", []

    def becomes(cfg):
        asked.append(cfg)
        rate = cfg.flow.training.learning_rate
        (Path(cfg.run_dir) / "metrics.json").write_text(json.dumps({RANK: -rate}))
        return -rate

    jobs.becomes = becomes
    assert call(monkeypatch, *SEARCH, f"sweep_dir={sweep}") == 0
    most = jobs.seen.index(max(jobs.seen))
    said = capfd.readouterr()
    assert f"to run its best job, {most}, again: best={sweep}\n" in said.out + said.err
    assert f"best={sweep}" in (sweep / "report.html").read_text()
    searched = asked[most]

    assert runs.call(monkeypatch, f"best={sweep}", "seed=3", f"run_dir={tmp_path}/again") == 0
    assert asked[-1].flow.training == searched.flow.training
    assert (asked[-1].seed, asked[-1].trial, asked[-1].resume) == (3, None, False)
    assert "pruning" not in asked[-1].callbacks

    several = ["-m", f"best={sweep}", "protocol.seed=3,4", f"sweep_dir={tmp_path}/several"]
    assert runs.call(monkeypatch, *several) == 0
    assert [cfg.protocol.seed for cfg in asked[-2:]] == [3, 4]
    assert [cfg.flow for cfg in asked[-2:]] == [searched.flow] * 2
    assert {(cfg.seed, cfg.trial) for cfg in asked[-2:]} == {(searched.seed, None)}

    assert runs.call(monkeypatch, f"run_dir={sweep}/{most}", "resume=true") == 0
    assert asked[-1].flow == searched.flow
    assert (asked[-1].run_dir, asked[-1].trial, asked[-1].resume) == (f"{sweep}/{most}", None, True)

    assert runs.call(monkeypatch, f"best={tmp_path}/again") == 2
    assert "found no jobs of a sweep" in capfd.readouterr().err


def test_failed_trials_and_those_without_a_number_are_recorded_and_survived(
    jobs, tmp_path, monkeypatch
):
    def becomes(cfg):
        if len(jobs.seen) == 2:
            raise RuntimeError("out of luck")
        return {3: float("nan"), 4: None}.get(len(jobs.seen), 1.0)

    jobs.becomes = becomes
    assert call(monkeypatch, *SEARCH, f"sweep_dir={tmp_path}/s") == 0
    trials = study(tmp_path / "s").trials
    failed = {t.number: t.user_attrs["error"] for t in trials if t.state is TrialState.FAIL}
    assert set(failed) == {1, 2, 3}
    assert "out of luck" in failed[1]
    assert "no finite number" in failed[2]
    assert len(trials) == 6


def test_a_search_without_any_value_fails(jobs, tmp_path, monkeypatch, capfd):
    jobs.becomes = lambda cfg: float("nan")
    assert call(monkeypatch, *SEARCH, f"sweep_dir={tmp_path}/s") == 1
    assert "no trial gave a value" in capfd.readouterr().err


def test_a_search_that_was_stopped_goes_on_in_the_folder_of_the_trial_it_was_at(
    jobs, tmp_path, monkeypatch, capfd
):
    """The trial that was running is run again with its own parameters, and counted once."""

    def killed(cfg):
        if len(jobs.seen) == 3:
            raise KeyboardInterrupt
        return 1.0

    jobs.becomes = killed
    assert call(monkeypatch, *SEARCH, f"sweep_dir={tmp_path}/s") == 130
    go_on = f"interrupted; to go on: sweep_dir={tmp_path}/s resume=true"
    assert capfd.readouterr().err.splitlines()[-1] == go_on
    (left,) = [t for t in study(tmp_path / "s").trials if t.state is TrialState.RUNNING]
    # as if it had been another process, which is gone
    storage = study(tmp_path / "s")._storage
    storage.set_trial_user_attr(left._trial_id, "process", f"{os.uname().nodename}:{2**22 + 1}")
    folders = []
    jobs.becomes = lambda cfg: folders.append(Path(cfg.run_dir).name) or 1.0
    monkeypatch.setattr(sys, "argv", ["run.py", "resume=true", f"sweep_dir={tmp_path}/s"])
    main()
    assert folders == ["2", "4", "5", "6"]
    assert jobs.seen[3] == jobs.seen[2] == left.params[RATE]
    done = [t for t in study(tmp_path / "s").trials if t.state is TrialState.COMPLETE]
    assert len(done) == 6


def test_a_search_for_two_metrics_keeps_both(jobs, tmp_path, monkeypatch):
    jobs.becomes = lambda cfg: [cfg.flow.training.learning_rate, -1.0]
    metric = "metric=[residual/relative,preservation/mmd2_ratio]"
    assert call(monkeypatch, *SEARCH, metric, f"sweep_dir={tmp_path}/s") == 0
    assert all(t.values == [t.params[RATE], -1.0] for t in study(tmp_path / "s").trials)
    assert (tmp_path / "s" / "figures" / "pareto_front.png").is_file()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("hydra.sweeper.params={}", "nothing to search for"),
        (f"{RATE}=interval(0.1,0.01)", f"{RATE}=interval(0.1,0.01)"),
        (f"{RATE}=tag(log,interval(-1,1))", f"{RATE}=tag(log,interval(-1,1))"),
        (f"{RATE}=range(0.1,1,0.2)", "range(...) of whole numbers"),
        ("flow.sigma=choice(-1,-2)", "expected sigma > 0"),
        ("hydra.sweeper.storage=nosql://nowhere", "hydra.sweeper.storage=nosql://nowhere"),
        ("hydra.sweeper.direction=up", "hydra.sweeper.direction=up"),
        ("hydra.sweeper.n_trials=0", "hydra.sweeper: n_trials=0"),
    ],
)
def test_a_search_that_cannot_run_is_refused(options, says, tmp_path, jobs, monkeypatch, capfd):
    assert call(monkeypatch, *SEARCH, *options.split(), f"sweep_dir={tmp_path}/s") == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line]
    assert says in line
    assert not jobs.seen
    assert not list(tmp_path.iterdir())


class Trainer(NamedTuple):
    """What the callback reads of a trainer at the end of a validation."""

    callback_metrics: dict[str, torch.Tensor]
    global_step: int


def validated(folder: Path, number: int, values: list[float], monitor="flow/val_loss") -> int:
    """Report values to a trial as validations do; how many until it was pruned."""
    name = {"storage": str(folder / "search.journal"), "study": "ring", "number": number}
    pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1)
    callback = Pruning(trial=name, pruner=pruner)
    callback.setup(None, None, "fit")
    for step, value in enumerate(values):
        try:
            callback.on_validation_end(Trainer({monitor: torch.tensor(value)}, step), None)
        except Pruned:
            return step + 1
    return len(values)


@pytest.mark.parametrize(
    ("directions", "monitor", "last"),
    [
        (["minimize"], "flow/val_loss", 2),
        (["minimize"], "score/val_loss", 4),
        (["minimize"] * 2, "flow/val_loss", 4),
    ],
)
def test_a_trial_that_does_worse_is_pruned(directions, monitor, last, tmp_path):
    """By the median of the others at the same step; not for several objectives."""
    storage = open_storage(str(tmp_path / "search.journal"))
    found = optuna.create_study(study_name="ring", storage=storage, directions=directions)
    for number in range(2):
        trial = found.ask()
        assert validated(tmp_path, number, [4.0, 3.0, 2.0, 1.0], monitor) == 4
        found.tell(trial, [1.0] * len(directions))
    found.ask()
    assert validated(tmp_path, 2, [5.0, 3.5, 2.5, 1.5], monitor) == last


# parts


def test_the_space_is_written_as_hydra_writes_sweeps():
    texts = [
        "a=interval(1.0,2.0)",
        "b=tag(log,int(interval(1,8)))",
        "c=range(1,6,2)",
        "d=x,y",
        "e=3",
    ]
    fixed, space = parse([*texts, "e=4", "f=choice([1,2],true)"], OverridesParser.create())
    assert fixed == ["e=4"]
    assert space == {
        "a": FloatDistribution(1.0, 2.0),
        "b": IntDistribution(1, 8, log=True),
        "c": IntDistribution(1, 5, step=2),
        "d": CategoricalDistribution(["x", "y"]),
        "f": CategoricalDistribution(["[1,2]", True]),
    }


def test_the_tuned_metric_is_the_one_named_or_the_rank():
    metrics = {"residual/relative": 0.1, RANK: 0.3, "other": 2.0}
    assert launch.tuned(None, metrics) == 0.3
    assert launch.tuned(None, {"residual/relative": 0.1}) is None  # all of its states escaped
    assert launch.tuned("other", metrics) == 2.0
    assert launch.tuned(["other", "residual/relative"], metrics) == [2.0, 0.1]
    assert launch.tuned("other", {}) is None
    with pytest.raises(InputError, match="metric=nope was not measured"):
        launch.tuned("nope", metrics)


def test_a_status_tells_how_a_job_ended(tmp_path):
    with recorded(tmp_path) as state:
        assert read_status(tmp_path).status == "running"
        state.value = 2.0
    assert read_status(tmp_path).status == "finished"
    assert read_status(tmp_path).value == 2.0
    for error, status in ((Pruned("worse"), "pruned"), (KeyError("x"), "failed")):
        with pytest.raises(type(error)), recorded(tmp_path):
            raise error
        assert read_status(tmp_path).status == status
    for stop in (KeyboardInterrupt(), SystemExit(143)):
        with pytest.raises(type(stop)), recorded(tmp_path):
            raise stop
        assert read_status(tmp_path).status == "interrupted"
    (tmp_path / "status.json").write_text('{"status": "fin')
    assert read_status(tmp_path) == Status()


@pytest.mark.parametrize(
    ("accelerator", "devices", "visible", "taken"),
    [
        ("gpu", 1, "", "1"),
        ("auto", 1, "4,5,6", "6"),
        ("cpu", 1, "4,5,6", "4,5,6"),
        ("gpu", 2, "4,5,6", "4,5,6"),
        ("gpu", 1, "4", "4"),
    ],
)
def test_each_of_several_jobs_takes_a_gpu(accelerator, devices, visible, taken, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    count = len(visible.split(",")) if visible else 2
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    trainer = OmegaConf.create({"accelerator": accelerator, "devices": devices})
    take_gpu(trainer, 5)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == taken


# every way to start jobs with every number of processes

SWEEPS = {
    "basic": ["seed=0,1"],
    "joblib": ["seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit_local": ["seed=0,1", "hydra/launcher=submitit_local"],
    "optuna": ["sweep=optuna", "hydra.sweeper.n_trials=2"],
    "optuna on joblib": ["sweep=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2"],
}
SWEEPS["optuna on joblib"] += ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
CELLS = [
    pytest.param(*cell, marks=() if cell == ("joblib", "cpu") else pytest.mark.slow)
    for cell in product(SWEEPS, ("cpu", "ddp_cpu"))
]


@pytest.mark.parametrize(("launcher", "trainer"), CELLS)
def test_jobs_come_to_their_end_whatever_starts_them(launcher, trainer, tmp_path):
    folders = [f"sweep_dir={tmp_path}/s", f"cache_dir={tmp_path}/c", f"trainer={trainer}"]
    command = [sys.executable, str(ROOT / "run.py"), "-m", *TINY, "logger=none"]
    command += [*SWEEPS[launcher], *folders]
    subprocess.run(command, check=True, capture_output=True)
    seeds = set()
    for job in (tmp_path / "s" / "0", tmp_path / "s" / "1"):
        assert read_status(job).status == "finished"
        metrics = json.loads((job / "metrics.json").read_text())
        assert read_status(job).value == metrics[RANK]
        seeds.add(metrics[RANK])
    assert len(seeds) == 2  # no job did another's work


@pytest.mark.slow
def test_what_ends_a_rank_ends_the_job_in_one_sentence(tmp_path, monkeypatch, capfd):
    options = ["trainer=ddp_cpu", "metric=nope", f"sweep_dir={tmp_path}/s", "data.n=40"]
    assert call(monkeypatch, *options, "stages=[flow,evaluate]", f"cache_dir={tmp_path}/c") == 2
    assert "error: stages: no score trained" in capfd.readouterr().err
    assert "no score trained" in read_status(tmp_path / "s" / "0").error
