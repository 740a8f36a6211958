"""Every shipped configuration composes, repeats the Python defaults, and runs."""

import inspect
import re
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

import data_modules
from callbacks import Wandb
from eqflow import simulate
from eqflow.cli import CONF
from eqflow.cli.checks import check_seeds
from eqflow.cli.parts import build_model
from eqflow.cli.processes.launch import launch
from eqflow.cli.score_key import score_key
from eqflow.discovery import Discovery
from eqflow.errors import InputError
from eqflow.evaluation import Protocol
from eqflow.fields import FAMILIES, ExactNetwork, Library
from eqflow.fields.kernels import skew_kernel
from eqflow.score import EmpiricalScore, MLPScore
from eqflow.score.images import ConvScore, ImageScore
from eqflow.score.unet import UNetScore
from eqflow.systems import Schedule
from eqflow.training import (
    FlowModule,
    ImageScoreModule,
    ProjectionModule,
    ScoreModule,
    StageModule,
    StreamModule,
    WeakModule,
)

ROOT = Path(__file__).parents[1]
CHOICES = sorted(
    f"{path.parent.name}={path.stem}"
    for path in CONF.glob("*/*.yaml")
    if path.parent.name != "wandb_sweeps"  # W&B's own files
)
SLOW = {
    "data=gray_scott",
    "data=icons",
    "experiment=alife",
    "score=unet",
    "score=conv",
    *(f"experiment=gray_scott{kind}" for kind in ("", "_network", "_equations")),
    "experiment=zoo",
    "experiment=lorenz_uniqueness",
}
TINY = [
    "threads=1",
    "score.training.steps=2",
    "epoch_steps=2",
    "protocol.horizons=[1]",
    "protocol.starts=20",
    "protocol.splits=4",
    "protocol.transport=false",
    "protocol.chaos=0",
]


def composed(tmp_path: Path, overrides: list[str]) -> DictConfig:
    """A resolved config as the command line would make it."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    cfg.run_dir, cfg.cache_dir = str(tmp_path / "run"), str(tmp_path / "cache")
    OmegaConf.resolve(cfg)
    return cfg


def tiny(choice: str, tmp_path: Path) -> list[str]:
    """Overrides that make a job of ``choice`` take a second."""
    overrides = [choice, *TINY]
    if choice in ("score=conv", "score=unet"):
        import numpy as np

        np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(100, 2, 8, 8)))
        overrides += ["data=snapshots", f"data.path={tmp_path / 'x.npy'}", "batch_size=8"]
        overrides += ["flow=skew", "flow.sigma=0.24"]
    elif choice != "data=snapshots":
        overrides += ["data.n=250", "data.val=10", "data.test=80"]
    else:
        import numpy as np

        np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(300, 4)))
        overrides += [f"data.path={tmp_path / 'x.npy'}"]
    untrained = (
        "flow=",
        "experiment=zoo",
        "experiment=gray",
        "experiment=alife",
        "data=gray",
        "score=conv",
        "score=unet",
        "data=icons",
    )
    trained = choice.startswith(("flow=network", "flow=stream")) or choice.endswith(
        "gray_scott_network"
    )
    if trained or not choice.startswith(untrained):
        overrides += ["flow.training.steps=2"]
        if choice != "flow=stream":
            overrides += ["flow.projection.steps=2"]
    if choice in ("data=gray_scott", "data=icons", "experiment=gray_scott_equations"):
        overrides += ["flow.field.degree=1", "flow.training.functions=20"]
    if "gray_scott" in choice:
        overrides += ["data.preset=gamma", "data.grid=16", "data.settle=100", "batch_size=8"]
        overrides += ["data.n=40", "data.val=4", "data.test=20", "protocol.starts=8"]
        overrides += ["protocol.displaced=0"]
    if choice in ("data=gray_scott", "data=icons"):
        overrides += ["flow=library", "integrator=stable"]
    if choice == "experiment=alife":
        overrides += ["data.canvas=32", "data.size=8", "data.n=24", "data.val=4", "data.test=20"]
        overrides += ["protocol.starts=4", "protocol.behaviour=1", "protocol.behaviour_frames=21"]
        overrides += ["protocol.behaviour_canvas=32", "batch_size=8"]
    if choice == "data=icons":
        overrides += ["data.canvas=16", "data.size=8", "data.n=40", "data.val=4", "data.test=20"]
        overrides += ["protocol.starts=8", "protocol.displaced=0", "batch_size=8"]
    if choice in ("data=dysts", "experiment=zoo"):
        overrides += ["data.transient=5"]
    if choice == "experiment=zoo":
        overrides += ["data.system=Rossler"]
    if choice == "experiment=lorenz_uniqueness":
        overrides += ["flow.ensemble=2", "beside=[skew]"]
    if choice == "experiment=lorenz_identifiability":
        overrides += ["flow.ensemble=2"]
    if choice in ("search=fastest", "search=flocking"):  # whose metric is of objects
        overrides += ["metric=null"]
    if choice == "score=empirical":
        overrides.remove("score.training.steps=2")
    if not choice.startswith("experiment"):  # those have fields beside their own, and all nulls
        overrides += ["beside=[]", "nulls=[minus_x]"]
    if not choice.startswith(("experiment", "data", "score=conv", "score=unet")):
        overrides += ["data=ring"]  # made in no time, where Lorenz-63 has to be integrated
    if not choice.startswith(("logger", "experiment")):
        overrides += ["logger=none"]
    return overrides


@pytest.mark.parametrize(
    "choice",
    [
        pytest.param(choice, marks=[pytest.mark.slow] if choice in SLOW else [])
        for choice in CHOICES
        if choice not in ("trainer=gpu", "trainer=ddp")
    ],
)
def test_every_shipped_choice_runs(choice, tmp_path, capfd):
    if choice == "trainer=ddp_cpu":
        pytest.skip("run in test_cli.py")
    cfg = composed(tmp_path, tiny(choice, tmp_path))
    value = launch(cfg)
    folder = Path(cfg.run_dir)
    evaluated = "evaluate" in cfg.stages  # debug=overfit looks at losses alone
    assert (value is not None) == evaluated
    expected = {"metrics.json", "report.html", "flow"} if evaluated else set()
    assert expected | {"checkpoints"} <= {p.name for p in folder.iterdir()}


DEFAULTS = {
    "score/mlp": [(MLPScore, ""), (ScoreModule, "training"), (StageModule, "training")],
    "score/conv": [(ImageScore, ""), (ConvScore, ""), (ImageScoreModule, "training")],
    "score/unet": [(UNetScore, ""), (ImageScoreModule, "training")],
    "score/empirical": [(EmpiricalScore, "")],
    "flow/network": [
        (FlowModule, ""),
        (FlowModule, "training"),
        (StageModule, "training"),
        (WeakModule, ""),
        (WeakModule, "training"),
        (FAMILIES["network"].build, "field"),
        (ProjectionModule, "projection"),
        (ExactNetwork, "projection"),
    ],
    "flow/library": [(Library, "field"), (Discovery, "training")],
    **{
        f"flow/{family.name}": [(family.build, "field")]
        for family in FAMILIES.values()
        if family.random_of
    },
    "flow/skew": [(FAMILIES["skew"].build, "field")],
    "flow/stream": [
        (StreamModule, ""),
        (StreamModule, "training"),
        (StageModule, "training"),
        (FAMILIES["stream"].build, "field"),
    ],
    "integrator/rk4": [(simulate.RK4, "")],
    "integrator/dopri5": [(simulate.Dopri5, "")],
    "integrator/heun_sde": [(simulate.HeunSDE, "")],
    "integrator/euler_maruyama": [(simulate.EulerMaruyama, "")],
    "integrator/stable": [(simulate.Stable, "")],
    "logger/wandb": [(Wandb, "wandb")],
    "data/dysts": [(data_modules.Dysts, "")],
    "data/gray_scott": [(data_modules.GrayScott, ""), (Schedule, "")],
    "data/icons": [(data_modules.Icons, "")],
    "data/lorenz": [(data_modules.Lorenz, "")],
    "data/ring": [(data_modules.Ring, "")],
    "data/snapshots": [(data_modules.SnapshotsFile, "")],
    "config": [(Protocol, "protocol"), (data_modules.SnapshotsModule, "")],
}


def inherited_defaults(function) -> dict[str, object]:
    """Defaults of a function, or of a class and the bases in its package to which it forwards."""
    bases = [
        base
        for base in reversed(getattr(function, "__mro__", (function,)))
        if base.__module__.split(".")[0] == function.__module__.split(".")[0]
    ]
    signatures = [inspect.signature(base).parameters.values() for base in bases]
    return {p.name: p.default for ps in signatures for p in ps if p.default is not p.empty}


@pytest.mark.parametrize("name", DEFAULTS)
def test_yaml_repeats_the_python_defaults(name):
    node = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    for function, key in DEFAULTS[name]:
        values = node[key] if key else node
        defaults = {k: v for k, v in inherited_defaults(function).items() if k in values}
        shared = {k: v for k, v in values.items() if k in defaults and "${" not in str(v)}
        expected = {k: list(v) if isinstance(v, tuple) else v for k, v in defaults.items()}
        assert shared == {k: expected[k] for k in shared}
        assert shared


def test_readme_commands_compose(tmp_path):
    commands = re.findall(
        r"^ *(?:python run\.py|eqflow)([^#\n]*)", (ROOT / "README.md").read_text(), re.M
    )
    assert len(commands) > 5
    for command in commands:
        overrides = [w for w in command.split() if "=" in w and not w.startswith(("-", "run_dir"))]
        overrides = [w for w in overrides if "<" not in w and not w.startswith("resume")]
        composed(tmp_path, [w.split(",")[0] for w in overrides])


def test_one_score_serves_all_rules_and_evaluations(tmp_path):
    """Seeds of the kernel, and of starts and noise, leave what is trained as it is."""

    def built(*overrides):
        cfg = composed(tmp_path, ["experiment=alife", *overrides])
        model = build_model(cfg, torch.zeros(2, 3, 8, 8))
        return model, score_key(cfg, model, None), Protocol(**cfg.protocol).seed

    (own, key, draws), (other, *same), (repeated, *again) = (
        built(),
        built("flow.seed=7", "flow.field.radius=0"),
        built("flow.seed=0", "protocol.seed=3"),
    )
    assert (draws, same, again) == (0, [key, 0], [key, 3])
    assert other.config["field_seed"] == 7
    assert torch.equal(other.field.kernel, skew_kernel(3, 7, radius=0))
    assert torch.equal(repeated.field.kernel, own.field.kernel)
    assert built("seed=3")[1] != key


@pytest.mark.parametrize("option", ["seed", "flow.seed", "protocol.seed"])
def test_every_seed_is_a_whole_number(option, tmp_path):
    cfg = composed(tmp_path, ["experiment=alife", f"{option}=-1"])
    with pytest.raises(InputError, match=f"^{option}=-1: expected an integer"):
        check_seeds(cfg)
