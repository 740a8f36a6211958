"""Unit fields and their signs: what two fields that keep a distribution can be compared by.

Neither speed nor sign of a field is known from snapshots, and a field that keeps a distribution has
mean zero over it. A *unit field* is a velocity at common states, centred over them and of length
one as a single vector.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from eqflow.metrics.variance import Levels, analysis_of_variance


def unit_fields(
    velocities: Float[Tensor, "fields states *shape"],
) -> Float[Tensor, "fields coordinates"]:
    """Velocities at common states, centred over the states and of length one as vectors."""
    centred = velocities - velocities.mean(1, keepdim=True)
    return normalize(centred.flatten(1), dim=1)


def aligning_signs(
    fields: Float[Tensor, "fields coordinates"], like: Float[Tensor, " coordinates"] | None = None
) -> Float[Tensor, " fields"]:
    """Signs, 1 or -1, by which all unit fields point along their leading principal direction.

    The direction is turned to ``like`` where it is given, else so that most fields keep their sign.
    """
    weights = torch.linalg.eigh((fields @ fields.T).double()).eigenvectors[:, -1]
    signs = torch.where(weights < 0, -1.0, 1.0).to(fields)
    direction = weights.to(fields) @ fields
    forward = signs.sum() >= 0 if like is None else direction @ like >= 0
    return signs if forward else -signs


def chance_spread(
    fields: Float[Tensor, "fields coordinates"], levels: Levels, draws: int = 50, seed: int = 0
) -> float:
    """Mean total spread of as many random directions in the span of the fields, aligned as they.

    It is below 1: with signs chosen, directions that have nothing in common agree a little, and the
    more the fewer dimensions the span has.
    """
    gram = fields.double() @ fields.double().T
    rank = int(torch.linalg.matrix_rank(gram, hermitian=True, rtol=1e-10))  # float32 fields
    draw, total = torch.Generator().manual_seed(seed), 0.0
    for _ in range(draws):
        random = torch.randn(len(fields), rank, generator=draw, dtype=torch.double)
        random = normalize(random, dim=1)
        total += analysis_of_variance(random * aligning_signs(random)[:, None], levels).total
    return total / draws
