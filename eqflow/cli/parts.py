"""From a composed config to the parts of a run; their constructors refuse wrong options."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from eqflow.cli.logs import unheard
from eqflow.data import KnownVelocities, Snapshots
from eqflow.discovery import Discovery, check_options
from eqflow.errors import InputError
from eqflow.evaluation import Protocol
from eqflow.fields import (
    Library,
    VelocityField,
    build_field,
    exact_if_possible,
    family_of,
    noise_level,
    size_and_training,
)
from eqflow.model import FlowModel
from eqflow.runtime import store
from eqflow.training import CONDITIONS, SELECTION, check_training


def build(node: DictConfig, **arguments: Any) -> Any:
    """Instantiate a config node; an ``InputError`` raised inside is raised as itself."""
    try:
        return instantiate(node, _convert_="all", **arguments)
    except InstantiationException as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        raise


def build_all(nodes: DictConfig | None) -> list[Any]:
    """Instantiate every entry of a group that holds several by name."""
    return [build(node) for node in (nodes or {}).values() if node]


def plain(node: DictConfig) -> dict[str, Any]:
    """A config node as a dictionary of plain values."""
    return cast(dict[str, Any], OmegaConf.to_container(node, resolve=True))


def field_level(cfg: DictConfig) -> float:
    """The noise level that the run's own field lives at."""
    return noise_level(cfg.flow.family, cfg.flow.sigma, cfg.flow.get("condition", "strong"))


def build_model(cfg: DictConfig, points: Tensor, names: Sequence[str] | None = None) -> FlowModel:
    """Untrained score and field for standardised training snapshots ``points``, ``(N, *shape)``.

    ``names`` are those of their features.
    """
    score = {name: value for name, value in plain(cfg.score).items() if name != "training"}
    flow = cfg.flow
    if not field_level(cfg):
        score = {"name": "empirical"}  # the field has none; for EquilibriumFlow.score alone
    shape = tuple(points.shape[1:])
    members, condition = flow.get("ensemble", 1), flow.get("condition", "strong")
    if flow.get("exact") not in (None, True, False):
        raise InputError(f"flow.exact={flow.exact} found; expected true, false or null")
    exact = exact_if_possible(flow.get("exact"), flow.family, shape, members, condition)
    size = size_and_training(flow.projection)[0] if exact else None
    drawn = {"ensemble": members, "exact": size, "field_seed": flow.get("seed")}
    arguments = (flow.family, flow.sigma, cfg.seed, score, plain(flow.field))
    level = field_level(cfg)
    return FlowModel(shape, points, *arguments, **drawn, field_sigma=level, names=names)


def score_options(cfg: DictConfig) -> dict[str, Any]:
    """Options of the training of the score."""
    return {"seed": cfg.seed, **cfg.score.get("training", {})}


def flow_options(cfg: DictConfig) -> dict[str, Any]:
    """Options of the training, or discovery, of the run's field."""
    flow = cfg.flow
    names = ("condition", *CONDITIONS.get(flow.get("condition"), SELECTION))
    chosen = {name: flow[name] for name in names if name in flow}
    return {"seed": cfg.seed, **chosen, **flow.get("training", {})}


def projection_options(cfg: DictConfig) -> dict[str, Any]:
    """Options of the training that makes the run's network exact."""
    chosen = {"seed": cfg.seed, "velocity_weight": cfg.flow.get("velocity_weight", 1.0)}
    return chosen | size_and_training(cfg.flow.get("projection", {}))[1]


def build_discovery(cfg: DictConfig, field: Library, snapshots: Snapshots) -> Discovery:
    """The discovery of equations by a library field beside the run's own."""
    options = flow_options(cfg) if cfg.flow.family == "library" else {"seed": cfg.seed}
    data = (snapshots.train, snapshots.standardiser, snapshots.train_groups)
    return Discovery(field, *data, **options)


def random_arguments(cfg: DictConfig, model: FlowModel, family: str) -> dict[str, Any]:
    """Arguments that make a random field the size of the run's own, where it is a draw of that."""
    if family_of(family).random_of != cfg.flow.family:
        return {}
    arguments = plain(cfg.flow.field) | model.field.random_arguments
    return {name: value for name, value in arguments.items() if name != "kernel"}


def build_other(cfg: DictConfig, model: FlowModel, family: str) -> VelocityField:
    """A field to compare with the run's own, on the same score and at the same noise level."""
    arguments = random_arguments(cfg, model, family)
    sigma = model.field.sigma
    return build_field(family, model.shape, model.score, sigma, cfg.seed + 1, **arguments)


def warm_start(cfg: DictConfig, model: FlowModel) -> str | None:
    """Load the checkpoint ``ckpt_path`` into the score or field it is of; returns its stage's name.

    Raises ``InputError`` for a file that is no finished stage or of another architecture.
    """
    if cfg.ckpt_path is None:
        return None
    option = f"ckpt_path={cfg.ckpt_path}"
    content = store.load_stage(Path(cfg.ckpt_path), option)
    if "history" not in content:
        raise InputError(
            f"{option} is an unfinished stage; expected score.ckpt, network.ckpt or flow.ckpt"
        )
    parts = {"score": model.score, "network": getattr(model.field, "origin", model.field)}
    store.fill(parts.get(content["stage"], model.field), content["state_dict"], option)
    return content["stage"]


@unheard()
def check_parts(cfg: DictConfig) -> None:
    """Build every part once, on no data; writes nothing."""
    data = build(cfg.data)
    integrator = build(cfg.integrator)
    if integrator.eta and not field_level(cfg):
        raise InputError(
            f"integrator.eta={integrator.eta} needs the score of noised states, found a field of "
            "the snapshots themselves; expected integrator=rk4 or dopri5"
        )
    build_all(cfg.logger)
    Protocol(**cfg.protocol)
    states = torch.zeros(2, *data.shape)
    model = build_model(cfg, states)
    if isinstance(model.field, Library):
        check_options(model.field, **cfg.flow.training)
    velocities = None if cfg.data.get("velocities") is None else KnownVelocities(states, states)
    snapshots = Snapshots(states, states, states, model.standardiser, known_velocities=velocities)
    check_training(model, snapshots, score_options(cfg), flow_options(cfg), projection_options(cfg))
    warm_start(cfg, model)
    for family in (*cfg.beside, *cfg.nulls):
        if family_of(family).trained:
            raise InputError(f"beside or nulls: {family} is trained; expected untrained families")
        build_other(cfg, model, family)
