"""Measures of many fields at once: an ensemble's members, and random maps of the score."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from eqflow.evaluation.chaos import member_chaos
from eqflow.evaluation.displacement import displacement
from eqflow.evaluation.evaluate import evaluate
from eqflow.evaluation.images import image_similarity
from eqflow.evaluation.pairs import kinds, pair_table
from eqflow.evaluation.reference import Reference, noised
from eqflow.evaluation.similarity import similarity
from eqflow.fields import Ensemble, build_field
from eqflow.runtime import Draws
from eqflow.score import Score
from eqflow.simulate import Integrator

Numbers = dict[str, float]

SCALING_STATES = 256
"""Training states that fix the speed of a random map."""

PUBLISHED_DRAWS = 3
"""Random maps that go through the published protocol of displacement, which is slow."""


def mean_and_spread(numbers: Sequence[Numbers]) -> Numbers:
    """Mean of every measure over the fields that have it, and ``..._std`` over two or more.

    Spreads of single fields are left out.
    """
    names = dict.fromkeys(name for field in numbers for name in field)
    table = {
        name: torch.tensor([field[name] for field in numbers if name in field], dtype=torch.double)
        for name in names
        if not name.endswith("_std")
    }
    return {name: values.mean().item() for name, values in table.items()} | {
        f"{name}_std": values.std().item() for name, values in table.items() if len(values) > 1
    }


@torch.no_grad()
def evaluate_members(
    ensemble: Ensemble,
    family: str,
    score: Score,
    reference: Reference,
    integrator: Integrator,
    **random: Any,
) -> Numbers:
    """Mean and spread of :func:`evaluate` over the members, and how alike these are.

    To each other and to random skew maps, random networks of arguments ``random``, score and truth:
    :func:`~eqflow.evaluation.pairs.pair_table`.
    """
    alone = replace(reference, protocol=replace(reference.protocol, chaos=0))  # measured together
    chaos = member_chaos(ensemble, reference, integrator)
    numbers = mean_and_spread(
        [
            evaluate(ensemble[k], score, alone, integrator) | exponents
            for k, exponents in enumerate(chaos)
        ]
    )
    fields = kinds(ensemble, family, score, reference, **random)
    # a mean would round the noise level
    given = {"members": len(ensemble), "preservation/sigma": reference.sigma}
    return numbers | pair_table(fields) | given


@torch.no_grad()
def random_skew_similarity(
    score: Score, reference: Reference, integrator: Integrator, draws: int = 10, **arguments: Any
) -> Numbers:
    """Similarity of random skew maps of the score, of images also their displacements.

    It is what similarity to the truth reads without any knowledge of the dynamics. Mean and, as
    ``..._std``, spread over ``draws`` seeds, of the published displacement over
    ``PUBLISHED_DRAWS``. ``arguments`` are those of the maps.
    """
    snapshots, sigma, seed = reference.snapshots, reference.sigma, reference.protocol.seed
    states = noised(snapshots.train[:SCALING_STATES], sigma, seed, Draws.NORMALISATION)
    table: list[Numbers] = []
    for k in range(1000 * (seed + 1), 1000 * (seed + 1) + draws):
        field = build_field("random_skew", snapshots.shape, score, sigma, k, **arguments)
        field = field.to(states.device)
        if not reference.images:
            table.append(similarity(field, reference))
            continue
        numbers = image_similarity(field, reference)
        field.normalise_(states.split(32))
        published = len(table) < PUBLISHED_DRAWS
        table.append(numbers | displacement(field, score, reference, integrator, published))
    return mean_and_spread(table)
