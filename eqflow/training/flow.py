"""Which module trains a field, and by which options."""

from typing import Any

from torch import Tensor

from eqflow.data import KnownVelocities
from eqflow.errors import InputError
from eqflow.fields import Ensemble, Network, Stream, VelocityField
from eqflow.score import Score
from eqflow.training.ensemble import EnsembleModule
from eqflow.training.modules import FlowModule, StageModule
from eqflow.training.stream import StreamModule, chosen
from eqflow.training.weak import WeakModule

CONDITIONS = {
    "strong": ("divergence", "evenness", "velocity_weight"),
    "weak": ("functions", "smoothness", "velocity_weight"),
}
"""Forms of the condition (method section 5) and the options that each is tuned by."""


SELECTION = ("principle", "smoothness")
"""Options that a stream field, which meets the condition by its form, is chosen by."""


def flow_module(
    field: VelocityField,
    score: Score,
    states: Tensor,
    sigma: float = 0.2,
    condition: str = "strong",
    velocities: KnownVelocities | None = None,
    **options: Any,
) -> StageModule | None:
    """The module that trains ``field``, or None for a stream field that is drawn at random.

    A network is trained by one of ``CONDITIONS``, with the options named there: the strong form
    needs ``score`` and ``sigma``, the weak one the training ``states``. A stream field is chosen
    by ``SELECTION``. All may have standardised ``velocities``. Members of an ensemble are trained
    together.
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
        if chosen(options.get("principle", "auto"), velocities) == "none":
            return None
        return StreamModule(field, velocities, **options)
    if condition not in CONDITIONS:
        expected = " or ".join(CONDITIONS)
        raise InputError(f"flow.condition={condition} is unknown; expected {expected}")
    if condition == "weak":
        if not isinstance(field, Network):
            raise InputError(
                "flow.condition=weak trains networks of vectors, found images of shape "
                f"{field.shape}; expected flow.condition=strong, or flow=library for the weak form"
            )
        return WeakModule(field, states, velocities=velocities, **options)
    return FlowModule(field, score, sigma, velocities=velocities, **options)
