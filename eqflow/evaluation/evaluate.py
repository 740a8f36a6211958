"""All measures of a field, or of the true system, in one call."""

from collections.abc import Callable
from dataclasses import replace

import torch

from eqflow.evaluation.behaviour import rest_behaviour, watched_behaviour
from eqflow.evaluation.chaos import chaos, measurable, true_chaos
from eqflow.evaluation.displacement import displacement
from eqflow.evaluation.images import image_similarity
from eqflow.evaluation.preservation import distances, shortened, simulated, textures
from eqflow.evaluation.ranking import ranked
from eqflow.evaluation.reference import Reference
from eqflow.evaluation.residuals import image_residuals, residuals, stationarity
from eqflow.evaluation.similarity import likeness_to_network, similarity, velocity_agreement
from eqflow.fields import VelocityField
from eqflow.score import Score
from eqflow.simulate import Integrator

Measure = Callable[[VelocityField, Score, Reference, Integrator], dict[str, float]]

FURTHER_MEASURES: list[Measure] = []
"""Measures from outside the package, taken of every field that is simulated."""


@torch.no_grad()
def evaluate(
    field: VelocityField, score: Score, reference: Reference, integrator: Integrator
) -> dict[str, float]:
    """Preservation, residual, chaos and, where the true velocity is known, similarity of a field.

    The field is started from, and compared with, the states of ``reference``, at the noise level it
    lives at. Called by every process alike, it returns the same numbers to each. Names and
    definitions of the measures: docs/measures.md.
    """
    numbers = _measures(field, score, reference, integrator)
    return numbers | ranked(numbers)


def _measures(
    field: VelocityField, score: Score, reference: Reference, integrator: Integrator
) -> dict[str, float]:
    path = reference.paths[field] = simulated(field, score, reference, integrator)
    numbers = distances(path, reference) | shortened(field, integrator)
    numbers |= stationarity(field, reference) | velocity_agreement(field, reference.snapshots)
    for measure in FURTHER_MEASURES:
        numbers |= measure(field, score, reference, integrator)
    if reference.images:
        numbers |= textures(path, reference)
        numbers |= image_residuals(field, score, reference) if reference.sigma else {}
        numbers |= image_similarity(field, reference)
        numbers |= watched_behaviour(field, score, reference, integrator)
        return numbers | displacement(field, score, reference, integrator)
    numbers |= residuals(field, score, reference) if reference.sigma else {}
    numbers |= likeness_to_network(field, reference)
    return numbers | similarity(field, reference) | chaos(field, reference, integrator)


@torch.no_grad()
def evaluate_rest(score: Score, reference: Reference, integrator: Integrator) -> dict[str, float]:
    """Behaviour of objects under restoring noise alone, as ``null/rest/...``, if it is watched."""
    return rest_behaviour(score, reference, integrator)


@torch.no_grad()
def evaluate_truth(
    field: VelocityField, reference: Reference, integrator: Integrator
) -> dict[str, float]:
    """Stationarity and chaos of the true velocity on clean states, as ``truth/...``, if known.

    Where the true velocity is rejected, the sample itself is not stationary. Exponents are measured
    where those of the run's own ``field`` are.
    """
    velocity = reference.snapshots.velocity
    if velocity is None:
        return {}
    tested = stationarity(velocity, replace(reference, sigma=0.0))
    numbers = {f"truth/{name}": value for name, value in tested.items()}
    wanted = measurable(field, reference.protocol)
    return numbers | (true_chaos(reference, integrator) if wanted else {})
