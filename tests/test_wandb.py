"""What a run really stores for W&B, read back from its offline file; sweeps and the dashboard."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import wandb
import wandb_workspaces.reports.v2 as wr
from runs import TINY, call, wandb_records
from test_configs import composed
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args, load_sweep_config

from callbacks import Wandb, finish, log_result
from callbacks.dashboard import dashboard, main
from eqflow.cli import CONF, run

SMALL = [*TINY[1:], "beside=[skew]", "trainer.log_every_n_steps=1"]


class Stored:
    """One offline file of a run: its records by type, and what they say."""

    def __init__(self, path: Path) -> None:
        self.folder = path.parent
        self.records = [(r.WhichOneof("record_type"), r) for r in wandb_records(path)]

    def all(self, kind: str) -> list[Any]:
        return [getattr(record, kind) for found, record in self.records if found == kind]

    @property
    def run(self) -> Any:
        return self.all("run")[0]

    @property
    def config(self) -> dict[str, Any]:
        updates = [item for config in self.all("config") for item in config.update]
        return {item.key: json.loads(item.value_json) for item in updates}

    @property
    def history(self) -> list[dict[str, Any]]:
        return [_values(row.item) for row in self.all("history")]

    @property
    def summary(self) -> dict[str, Any]:
        return {k: v for summary in self.all("summary") for k, v in _values(summary.update).items()}

    @property
    def metrics(self) -> dict[str, Any]:
        return {metric.name or metric.glob_name: metric for metric in self.all("metric")}

    @property
    def exit_codes(self) -> list[int]:
        return [end.exit_code for end in self.all("exit")]


def stored(folder: Path) -> list[Stored]:
    """The offline files of a run's folder, in the order they were started."""
    wandb.teardown()  # waits for what W&B's own process still has to write
    return [Stored(path) for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))]


def _values(items: Any) -> dict[str, Any]:
    return {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in items}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folder of a finished run of the smallest size that knows the truth."""
    root = tmp_path_factory.mktemp("wandb")
    horizons = ["protocol.horizons=[1,10,100]", "protocol.starts=20", "integrator.dt=0.5"]
    words = ["group=a_sweep", "tags=[first,second]", "notes=what for"]
    options = ["experiment=lorenz", *SMALL, *horizons, *words, "logger.wandb.artifacts=true"]
    with pytest.MonkeyPatch.context() as patch:
        paths = [f"run_dir={root}/run", f"cache_dir={root}/cache"]
        assert call(patch, *options, *paths) == 0
    return root / "run"


@pytest.fixture(scope="module")
def done(folder) -> Stored:
    (only,) = stored(folder)
    return only


@pytest.fixture(scope="module")
def measured(folder) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text())


def test_the_run_says_what_it_belongs_to(done):
    assert (done.run.project, done.run.display_name) == ("eqflow", "lorenz")
    assert (done.run.run_group, done.run.job_type) == ("a_sweep", "score+flow+evaluate")
    assert (list(done.run.tags), done.run.notes) == (["first", "second"], "what for")


def test_the_config_is_stored_resolved_and_links_to_the_folder(done, folder):
    assert done.config["run_dir"] == str(folder)
    assert done.config["data"]["batch_size"] == done.config["batch_size"] == 512
    assert "${" not in json.dumps(done.config)


def test_the_folder_links_to_the_run(done, folder):
    assert (folder / "wandb" / "id").read_text() == done.run.run_id


def test_each_stage_has_its_own_axis(done):
    for stage in ("score", "network", "flow"):
        axis = f"{stage}/step"
        assert done.metrics[f"{stage}/*"].step_metric == axis
        assert done.metrics[f"{stage}/val_loss"].step_metric == axis
        rows = [row for row in done.history if f"{stage}/train_loss" in row]
        assert [row[axis] for row in rows] == [0, 1, 2, 3]
    assert not any("trainer/global_step" in row for row in done.history)


def test_the_summary_keeps_the_best_of_a_curve_and_no_axis(done):
    names = ["score/val_loss", "flow/train_loss", "flow/val_loss", "flow/preservation/mmd2_ratio"]
    for name in names:
        assert done.metrics[name].summary.min
        lowest = min(row[name] for row in done.history if name in row)
        assert done.summary[name] == {"min": lowest}
    assert not {"epoch", "score/step", "flow/step"} & set(done.summary)


def test_the_final_numbers_are_the_summary_and_no_curve(done, measured):
    assert {name: done.summary[name] for name in measured} == pytest.approx(measured, nan_ok=True)
    assert not any(name in row for row in done.history for name in measured)


def test_the_table_holds_every_measure_of_every_field(done, measured):
    table = json.loads(next(done.folder.glob("files/media/table/fields*.json")).read_text())
    fields = [row[0] for row in table["data"]]
    assert fields == ["own", "beside/skew", "null/minus_x"]
    cells = {
        (f"{field}/{name}" if field != "own" else name): value
        for field, *values in table["data"]
        for name, value in zip(table["columns"][1:], values, strict=True)
        if value is not None
    }
    expected = {name: value for name, value in measured.items() if not name.startswith("time/")}
    assert cells == pytest.approx(expected, nan_ok=True)


def test_the_figures_are_stored(done, folder):
    names = {path.stem for path in folder.glob("figures/*.png")}
    assert names
    assert {f"figures/{name}/path" for name in names} <= set(done.history[-1])
    kept = {path.name.split("_")[0] for path in done.folder.rglob("media/images/figures/*.png")}
    assert kept == {name.split("_")[0] for name in names}


def test_what_was_learned_is_a_model_when_asked_for(done):
    (model,) = [artifact for artifact in done.all("artifact") if artifact.type == "model"]
    assert model.name == "lorenz"
    assert set(model.aliases) == {"latest", done.run.run_id}
    files = {content.path for content in model.manifest.contents}
    assert files >= {"flow/config.json", "flow/model.safetensors", "checkpoints/flow.ckpt"}


def test_a_finished_run_ends_with_0(done):
    assert done.exit_codes == [0]


def test_films_are_stored_and_models_only_when_asked_for(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "flow.mp4").write_bytes(b"a film")
    logger = Wandb(save_dir=str(tmp_path), stages=["evaluate"], project="eqflow")
    log_result([logger], {"truth/cos": 0.5}, tmp_path)
    finish([logger], failed=False)
    (only,) = stored(tmp_path)
    assert only.history[-1]["films/flow/_type"] == "video-file"
    assert [p.read_bytes() for p in only.folder.rglob("films/*.mp4")] == [b"a film"]
    assert not [artifact for artifact in only.all("artifact") if artifact.type == "model"]


def test_a_failed_run_ends_with_1(tmp_path, monkeypatch):
    def fail(self):
        raise RuntimeError("as bugs do")

    monkeypatch.setattr(run.Run, "_evaluate", fail)
    options = ["experiment=ring", *SMALL, f"run_dir={tmp_path}/run", f"cache_dir={tmp_path}/cache"]
    assert call(monkeypatch, *options) == 1
    (only,) = stored(tmp_path / "run")
    assert only.exit_codes == [1]


def test_a_resumed_folder_goes_on_with_its_run(tmp_path, monkeypatch):
    paths = [f"run_dir={tmp_path}/run", f"cache_dir={tmp_path}/cache"]
    assert call(monkeypatch, "experiment=ring", *SMALL, "stages=[score]", *paths) == 0
    assert call(monkeypatch, "resume=true", "stages=[score,flow]", *paths) == 0
    first, second = stored(tmp_path / "run")
    assert first.run.run_id == second.run.run_id
    assert second.run.resume
    assert (first.run.job_type, second.run.job_type) == ("score", "score+flow")


def test_the_jobs_of_a_sweep_are_runs_of_their_own(tmp_path, monkeypatch):
    sweep = ["-m", f"hydra.sweep.dir={tmp_path}/jobs", "group=jobs", f"cache_dir={tmp_path}/cache"]
    assert call(monkeypatch, *sweep, "experiment=ring", *SMALL, "stages=[score]", "seed=0,1") == 0
    (one,), (two,) = (stored(tmp_path / "jobs" / job) for job in "01")
    assert one.run.run_id != two.run.run_id
    assert (one.config["seed"], two.config["seed"]) == (0, 1)
    assert one.run.run_group == two.run.run_group == "jobs"
    assert one.exit_codes == two.exit_codes == [0]


@pytest.mark.parametrize("tags", ["tags=[1]", f"tags=[{65 * 'x'}]"])
def test_tags_that_wandb_does_not_take_are_refused(tags, tmp_path, monkeypatch, capfd):
    assert call(monkeypatch, tags, f"run_dir={tmp_path}/run") == 2
    assert "expected a list of texts of 1 to 64 characters" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def test_going_online_without_an_account_is_refused(tmp_path, monkeypatch, capfd):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    paths = [f"run_dir={tmp_path}/run", f"cache_dir={tmp_path}/cache"]
    assert call(monkeypatch, "experiment=ring", "logger.wandb.offline=false", *paths) == 2
    assert "Expected an account, or logger.wandb.offline=true" in capfd.readouterr().err


def logged(done: Stored) -> tuple[set[str], set[str]]:
    """Names in the history, and in the summary."""
    return {name for row in done.history for name in row}, set(done.summary)


@pytest.mark.parametrize("path", sorted(CONF.glob("wandb_sweeps/*.yaml")), ids=lambda p: p.stem)
def test_a_point_of_every_wandb_sweep_composes(path, tmp_path, done):
    sweep = load_sweep_config(str(path))
    point = {name: {"value": _one_of(parameter)} for name, parameter in sweep["parameters"].items()}
    command = sweep["command"]
    assert command[:3] == ["${env}", "${interpreter}", "run.py"]
    assert command[-1] == "${args_no_hyphens}"
    overrides = create_sweep_command_args({"args": point})["args_no_hyphens"]
    cfg = composed(tmp_path, [*command[3:-1], *overrides])
    assert not cfg.logger.wandb.offline
    # W&B locks a sweep's parameters: one named like a part would keep that part out of the config
    assert not any(isinstance(cfg.get(name), dict) for name in point)
    curves, numbers = logged(done)
    assert sweep["metric"]["name"] in (curves if "early_terminate" in sweep else numbers)


def _one_of(parameter: dict[str, Any]) -> Any:
    return parameter["values"][-1] if "values" in parameter else parameter["max"]


def test_the_dashboard_shows_what_runs_log(done):
    curves, numbers = logged(done)
    sections = dashboard("eqflow").sections
    panels = [panel for section in sections for panel in section.panels]
    lines = {name for panel in panels if isinstance(panel, wr.LinePlot) for name in panel.y}
    bars = {name for panel in panels if isinstance(panel, wr.BarPlot) for name in panel.metrics}
    assert {name for name in lines if not name.startswith("system/")} <= curves
    assert {re.sub(r"^(beside|null)/\w+/", "", name) for name in bars} <= numbers


def test_the_dashboard_is_printed_without_a_network(capsys):
    main(["--project", "mine"])
    sections = json.loads(capsys.readouterr().out)["section"]["panelBankConfig"]["sections"]
    names = [section["name"] for section in sections]
    assert names == ["Preservation", "Residual", "Truth", "Training", "System"]
    with pytest.raises(SystemExit, match="2"):
        main(["--save"])
    assert "--save needs --entity" in capsys.readouterr().err
