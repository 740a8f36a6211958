"""From a composed config to the parts of a run; their constructors refuse wrong options."""

from pathlib import Path
from typing import Any, cast

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from eqflow.data import KnownVelocities, Snapshots
from eqflow.discovery import Discovery, check_options
from eqflow.errors import InputError
from eqflow.evaluation import Protocol
from eqflow.fields import Library, Stream, VelocityField, build_field, family_of, noise_level
from eqflow.model import FlowModel
from eqflow.runtime import store
from eqflow.score import TrainedScore
from eqflow.training import CONDITIONS, SELECTION, StageModule, flow_module, score_module


def build(node: DictConfig, **arguments: Any) -> Any:
    """Instantiate a config node; an ``InputError`` inside comes out as itself."""
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


def build_model(cfg: DictConfig, points: Tensor) -> FlowModel:
    """Score and field on standardised training ``points``, ``(N, *shape)``."""
    score = {name: value for name, value in plain(cfg.score).items() if name != "training"}
    flow = cfg.flow
    if not field_level(cfg):
        score = {"name": "empirical"}  # the field has none; for EquilibriumFlow.score alone
    shape = tuple(points.shape[1:])
    return FlowModel(
        shape,
        points,
        flow.family,
        flow.sigma,
        cfg.seed,
        score,
        plain(flow.field),
        flow.get("ensemble", 1),
        flow.get("seed"),
        field_level(cfg),
    )


def build_module(
    cfg: DictConfig,
    model: FlowModel,
    stage: str,
    states: Tensor,
    velocities: KnownVelocities | None = None,
) -> StageModule | None:
    """The Lightning module of a stage, or None where there is nothing to train."""
    flow = cfg.flow
    if stage == "score" and isinstance(model.score, TrainedScore):
        return score_module(model.score, seed=cfg.seed, **cfg.score.training)
    if stage == "flow" and family_of(flow.family).trained:
        options = {"velocities": velocities, "seed": cfg.seed, **flow.training}
        if isinstance(model.field, Stream):
            options |= {name: flow[name] for name in SELECTION}
        else:
            options |= {name: flow[name] for name in CONDITIONS.get(flow.condition, ())}
            options |= {"sigma": flow.sigma, "condition": flow.condition}
        return flow_module(model.field, model.score, states, **options)
    return None


def build_discovery(cfg: DictConfig, field: Library, snapshots: Snapshots) -> Discovery:
    """The fit of a library field, the run's own or one beside it."""
    options = cfg.flow.training if cfg.flow.family == "library" else {}
    data = (snapshots.train, snapshots.standardiser, snapshots.train_groups)
    return Discovery(field, *data, seed=cfg.seed, **options)


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
    """Load ``ckpt_path`` into the part it belongs to and return that stage's name."""
    if cfg.ckpt_path is None:
        return None
    option = f"ckpt_path={cfg.ckpt_path}"
    content = store.load_stage(Path(cfg.ckpt_path), option)
    if "history" not in content:
        raise InputError(f"{option} is an unfinished stage; expected score.ckpt or flow.ckpt")
    part = model.score if content["stage"] == "score" else model.field
    store.fill(part, content["state_dict"], option)
    return content["stage"]


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
    for stage in ("score", "flow"):
        build_module(cfg, model, stage, states, velocities)
    warm_start(cfg, model)
    for family in (*cfg.beside, *cfg.nulls):
        if family_of(family).trained:
            raise InputError(f"beside or nulls: {family} is trained; expected untrained families")
        build_other(cfg, model, family)
