"""From snapshots to a trained model: the one way that estimator and command line share.

The score is trained by denoising, the field by the condition or, if it is a library, discovered in
closed form; then the field gets unit speed. Which module trains what is decided here. The callers
bring their options and a function that trains a module under a trainer of theirs.
"""

from collections.abc import Callable
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor

from eqflow.data import KnownVelocities, Snapshots
from eqflow.discovery import Discovery
from eqflow.errors import InputError
from eqflow.fields import (
    Ensemble,
    ExactNetwork,
    Library,
    Network,
    Stream,
    VelocityField,
    family_of,
)
from eqflow.model import FlowModel
from eqflow.options import Options, check_arguments, options_of, unknown
from eqflow.runtime import rank_and_world
from eqflow.score import Score, TrainedScore
from eqflow.stationarity import Sums
from eqflow.training.batches import noised_batches
from eqflow.training.denoising import ImageScoreModule, ScoreModule
from eqflow.training.ensemble import EnsembleModule
from eqflow.training.projection import ProjectionModule
from eqflow.training.stage import StageModule
from eqflow.training.stream import StreamModule, resolved_principle, warn_of_asymmetry
from eqflow.training.strong import FlowModule
from eqflow.training.weak import WeakModule

Fit = Callable[[StageModule], None]
"""Trains a module to the end of its steps, under a trainer of the caller's."""

CONDITIONS = {
    "strong": ("divergence", "evenness", "velocity_weight"),
    "weak": ("functions", "smoothness", "velocity_weight"),
}
"""Forms of the condition (method section 5), each with the options that it is tuned by."""

ORIGIN_STEPS = 1000
"""Steps of the training of a network that is made exact: few, as the exactness comes later."""

SELECTION = ("principle", "smoothness")
"""Options that choose a stream field, which meets the condition by its form."""

PARTS = ("self", "score", "field", "sigma", "states", "velocities", "z", "standardiser", "groups")
"""What a training is given beside its options."""


def score_training_options() -> Options:
    """Names and types of the options of the training of any score."""
    return _options(ScoreModule, ImageScoreModule)


def flow_training_options(family: str) -> Options:
    """Names and types of the options of a library's discovery, or of the training of any field."""
    if family_of(family).closed_form:
        return _options(Discovery)
    return {"condition": str, **_options(FlowModule, WeakModule, StreamModule)}


def projection_training_options() -> Options:
    """Names and types of the options of the training that makes a network exact."""
    return _options(ProjectionModule)


def check_training(
    model: FlowModel,
    data: Snapshots,
    score: dict[str, Any],
    flow: dict[str, Any],
    projection: dict[str, Any],
) -> None:
    """Build what trains ``model``: wrong options of its trainings are refused before.

    The model must not be trained afterwards.
    """
    score_module(model.score, **score)
    if isinstance(model.field, ExactNetwork):
        network_module(model.field, data, **flow)
        projection_module(model.field, data, **projection)
    else:
        field_module(model, data, **flow)


def _options(*trainings: type) -> dict[str, Any]:
    found = {name: kind for each in trainings for name, kind in options_of(each).items()}
    return {name: kind for name, kind in found.items() if name not in PARTS}


def _check(module: type[StageModule], options: dict[str, Any]) -> type[Any]:
    """The ``module``, once its options are those that it takes."""
    check_arguments(options, _options(module), f"{module.options}.")
    return module


def train_score(model: FlowModel, fit: Fit, **options: Any) -> None:
    """Train the model's score on snapshots, unless it has a closed form, and freeze it.

    ``options`` are those of :class:`ScoreModule`, or of :class:`ImageScoreModule` for images.
    """
    if module := score_module(model.score, **options):
        fit(module)
    model.score.requires_grad_(False).float()


def train_network(field: ExactNetwork, data: Snapshots, fit: Fit, **options: Any) -> None:
    """Train the network that ``field`` will be drawn to, and bring it to unit speed.

    ``options`` are those of :class:`FlowModule`.
    """
    fit(network_module(field, data, **options))
    _settle(field.origin, data, field.sigma)


def train_field(model: FlowModel, data: Snapshots, fit: Fit, **options: Any) -> None:
    """Train the model's field, if its family is trained, and bring it to unit speed.

    ``options`` are those of :func:`flow_module` or, for an exact network whose network is trained
    already, of :class:`ProjectionModule`. A warning tells of a stream field whose score is no
    gradient. Raises ``ValueError`` for a field that does not move anything.
    """
    if module := field_module(model, data, **options):
        fit(module)
    _settle(model.field, data, model.field.sigma)
    if isinstance(model.field, Stream) and rank_and_world()[0] == 0:
        warn_of_asymmetry(model.field, data.train)


def _settle(field: VelocityField, data: Snapshots, sigma: float) -> None:
    field.requires_grad_(False).float().normalise_(noised_batches(data.train, sigma))


def discover(
    model: FlowModel,
    data: Snapshots,
    passed: Callable[[Discovery], Sums] | None = None,
    **options: Any,
) -> None:
    """Fit the model's library field to snapshots and choose its terms: ``model.findings``.

    ``passed`` sums the moments over all snapshots that are fitted, for instance in several
    processes, of which the first then chooses; ``options`` are those of :class:`Discovery`.
    """
    field, units, groups = cast(Library, model.field), data.standardiser, data.train_groups
    discovery = Discovery(field, data.train, units, groups, **options)
    total = passed(discovery) if passed and not discovery.sampled else None
    if rank_and_world()[0] == 0:
        model.findings = discovery.run(total)


def match_speed(model: FlowModel, velocities: KnownVelocities | None) -> None:
    """Set ``model.speed``, by which its velocity comes closest to known ones, if there are any."""
    if velocities is not None:
        model.speed, _ = velocities.fit(model.field(velocities.x))


def score_module(score: Score, **options: Any) -> ScoreModule | None:
    """The module that trains ``score``, or None for one of closed form."""
    if not isinstance(score, TrainedScore):
        return None
    return _check(ImageScoreModule if score.local else ScoreModule, options)(score, **options)


def network_module(field: ExactNetwork, data: Snapshots, **options: Any) -> StageModule:
    """The module that trains the network of ``field`` by the strong form of the condition."""
    parts = (field.origin, field.score, data.train, field.sigma)
    steps = ORIGIN_STEPS if options.get("steps") is None else options["steps"]
    options = {**options, "velocities": data.known_velocities, "steps": steps}
    module = flow_module(*parts, **options)
    assert module is not None
    module.stage = "network"
    return module


def projection_module(field: ExactNetwork, data: Snapshots, **options: Any) -> ProjectionModule:
    """The module that draws ``field`` to its network."""
    return _check(ProjectionModule, options)(field, data.known_velocities, **options)


def field_module(model: FlowModel, data: Snapshots, **options: Any) -> StageModule | None:
    """The module that trains the model's field, or None if there is nothing to train."""
    if not family_of(model.config["family"]).trained:
        return None
    if isinstance(model.field, ExactNetwork):
        return projection_module(model.field, data, **options)
    known = data.known_velocities
    parts = (model.field, model.score, data.train, model.field.sigma)
    return flow_module(*parts, velocities=known, **options)


def flow_module(
    field: VelocityField,
    score: Score,
    states: Float[Tensor, "n *shape"],
    sigma: float = 0.2,
    condition: str = "strong",
    velocities: KnownVelocities | None = None,
    **options: Any,
) -> StageModule | None:
    """The module that trains ``field``, or None for a stream field that is drawn at random.

    A network is trained by one of ``CONDITIONS``: the strong form uses ``score`` and ``sigma``, the
    weak form the training ``states``. A stream field is chosen by the options of ``SELECTION``, the
    members of an ensemble are trained together. States and ``velocities`` are standardised.

    Raises ``InputError`` for an unknown condition and for the weak form of anything but networks of
    vectors.
    """
    if isinstance(field, Ensemble):
        alone = flow_module(field[0], score, states, sigma, condition, velocities, **options)
        assert alone is not None
        return EnsembleModule(alone, field)
    if isinstance(field, Stream):
        if condition != "strong":
            raise InputError(
                f"flow.condition={condition} found with flow=stream, which meets the condition by "
                "its form; expected flow.principle"
            )
        if resolved_principle(options.get("principle", "auto"), velocities) == "none":
            return None
        return _check(StreamModule, options)(field, velocities, **options)
    if condition not in CONDITIONS:
        raise unknown("flow.condition=", condition, CONDITIONS)
    if condition == "weak":
        if not isinstance(field, Network):
            raise InputError(
                "flow.condition=weak trains networks of vectors, found images of shape "
                f"{field.shape}; expected flow.condition=strong, or flow=library for the weak form"
            )
        return _check(WeakModule, options)(field, states, velocities=velocities, **options)
    return _check(FlowModule, options)(field, score, sigma, velocities=velocities, **options)
