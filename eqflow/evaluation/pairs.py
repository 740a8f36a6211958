"""How alike fields of several kinds are: ``|cos|`` of all pairs over held-out states.

The paper's evidence that the data decide the dynamics is that learned fields agree with each other.
Fields of one architecture under many seeds share its bias; kinds that do not are the comparison.
"""

from importlib.util import find_spec
from itertools import combinations_with_replacement
from typing import Any
from warnings import catch_warnings

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.evaluation.reference import Reference
from eqflow.fields import Ensemble, build_field
from eqflow.metrics import unit_fields
from eqflow.score import Score

MOST_DRAWS = 100
"""Random fields of a kind at most, and no more than the ensemble has members."""


UMAP_NEIGHBOURS = 15
"""Nearest fields that UMAP takes for the surroundings of a field."""


Kinds = dict[str, Float[Tensor, "fields coordinates"]]
"""Name of a kind -> velocities of its fields at the same states, each of length one."""


@torch.no_grad()
def kinds(
    ensemble: Ensemble, family: str, score: Score, reference: Reference, **random: Any
) -> Kinds:
    """Fields of several kinds: an ensemble's members, random skew maps, random networks, the truth.

    ``random`` are the arguments of the random networks, which are to be those of the members. Where
    the members live on the snapshots themselves there is no score to compare with.
    """
    x, seed = reference.initial, 1000 * (reference.protocol.seed + 1)
    seeds = range(seed, seed + min(MOST_DRAWS, len(ensemble)))
    draws = {"skew": seeds, "random": seeds, "score": seeds[:1]}
    velocities = {family: ensemble.at_common_states(x)}
    for kind, kind_seeds in (draws if reference.sigma else {"random": seeds}).items():
        arguments = random if kind == "random" else {}
        fields = [
            build_field(kind, ensemble.shape, score, reference.sigma, k, **arguments).to(x.device)
            for k in kind_seeds
        ]
        velocities[kind] = torch.stack([field(x) for field in fields])
    if reference.snapshots.velocity is not None:
        velocities["truth"] = reference.true_velocities[0][None]
    return {kind: unit_fields(v) for kind, v in velocities.items()}


def pair_table(fields: Kinds) -> dict[str, float]:
    """``pairs/<kind>/<kind>``: mean ``|cos|`` of pairs of two fields, and ``..._std``."""
    table = {}
    for a, b in combinations_with_replacement(fields, 2):
        cosines = (fields[a] @ fields[b].T).abs()
        if a == b:
            cosines = cosines[torch.ones_like(cosines).triu(1).bool()]
        if cosines.numel():
            table[f"pairs/{a}/{b}"] = cosines.mean().item()
            table[f"pairs/{a}/{b}_std"] = cosines.std(correction=min(1, cosines.numel() - 1)).item()
    return table


def embedding(cosines: Float[Tensor, "n n"]) -> tuple[Float[Tensor, "n 2"], str]:
    """Places in the plane, fields that are alike side by side, and the method's name.

    By UMAP (McInnes, Healy & Melville 2018) where it is installed and has neighbours enough.
    """
    if len(cosines) <= UMAP_NEIGHBOURS or not find_spec("umap"):
        return classical_scaling(cosines), "classical scaling"
    threads = torch.get_num_threads()
    from umap import UMAP

    with catch_warnings(action="ignore"):  # that what a seed needs is what it takes
        method = UMAP(UMAP_NEIGHBOURS, metric="precomputed", random_state=0)
        places = method.fit_transform(_squares(cosines).sqrt().cpu().numpy())
    torch.set_num_threads(threads)  # of OpenMP, which numba sets for the whole process
    return torch.from_numpy(places), "UMAP"


def classical_scaling(cosines: Float[Tensor, "n n"]) -> Float[Tensor, "n 2"]:
    """Places in the plane whose distances are close to ``sqrt(2 - 2 |cos|)`` (Torgerson 1952)."""
    squares = _squares(cosines)
    centred = squares - squares.mean(0) - squares.mean(1, keepdim=True) + squares.mean()
    values, vectors = torch.linalg.eigh(-centred / 2)
    return vectors[:, -2:].flip(1) * values[-2:].flip(0).clamp_min(0).sqrt()


def _squares(cosines: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """Squared distances of unit vectors whose sign says nothing."""
    return (2 - 2 * cosines.abs().double()).clamp_min(0).fill_diagonal_(0)
