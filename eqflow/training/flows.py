"""The module that trains a velocity field, chosen by its kind and by the form of the condition."""

from typing import Any

from torch import Tensor

from eqflow.errors import InputError
from eqflow.fields import Ensemble, Network, VelocityField
from eqflow.score import Score
from eqflow.training.ensemble import EnsembleModule
from eqflow.training.modules import FlowModule, StageModule
from eqflow.training.weak import WeakModule

CONDITIONS = {"strong": ("divergence", "evenness"), "weak": ("functions", "smoothness")}
"""Forms of the condition (METHOD section 5) and the options that each is tuned by."""


def flow_module(
    field: VelocityField,
    score: Score,
    states: Tensor,
    sigma: float = 0.2,
    condition: str = "strong",
    **options: Any,
) -> StageModule:
    """The module that trains ``field`` by one of ``CONDITIONS``, with the options named there.

    The strong form needs ``score`` and ``sigma``, the weak one the training ``states``. Members of
    an ensemble are trained together.
    """
    if isinstance(field, Ensemble):
        alone = flow_module(field[0], score, states, sigma, condition, **options)
        return EnsembleModule(alone, field)
    if condition == "weak":
        if not isinstance(field, Network):
            raise InputError(
                "flow.condition=weak trains networks of vectors, found images of shape "
                f"{field.shape}; expected flow.condition=strong, or flow=library for the weak form"
            )
        return WeakModule(field, states, **options)
    return FlowModule(field, score, sigma, condition, **options)
