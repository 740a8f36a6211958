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

from eqflow.data import Snapshots
from eqflow.evaluation.protocol import Protocol
from eqflow.evaluation.similarity import true_velocities
from eqflow.evaluation.states import held_out
from eqflow.fields import Ensemble, build_field
from eqflow.metrics import unit_fields
from eqflow.score import Score

DRAWS = 100
"""Random fields of a kind, at most as many as the ensemble has members."""


NEIGHBOURS = 15
"""Fields that UMAP takes for the surroundings of one."""


Kinds = dict[str, Float[Tensor, "fields coordinates"]]
"""Name of a kind -> velocities of its fields at the same states, each of length one."""


@torch.no_grad()
def kinds(
    ensemble: Ensemble,
    family: str,
    score: Score,
    snapshots: Snapshots,
    sigma: float,
    protocol: Protocol,
    **random: Any,
) -> Kinds:
    """The ensemble's members, random skew maps of the score, random networks, score and truth.

    ``random`` are arguments of the random networks, which are to be those of the members.

    Where the field lives on the snapshots themselves, there is no score to compare with.
    """
    x = held_out(snapshots, sigma, protocol)[0]
    count = min(DRAWS, len(ensemble))
    seeds = range(1000 * (protocol.seed + 1), 1000 * (protocol.seed + 1) + count)
    drawn = {"skew": seeds, "random": seeds, "score": seeds[:1]} if sigma else {"random": seeds}
    found = {family: ensemble.at_common_states(x)}
    for kind, some in drawn.items():
        arguments = random if kind == "random" else {}
        fields = [
            build_field(kind, snapshots.shape, score, sigma, seed, **arguments).to(x.device)
            for seed in some
        ]
        found[kind] = torch.stack([field(x) for field in fields])
    if snapshots.velocity is not None:
        found["truth"] = true_velocities(snapshots, sigma, protocol)[0][None]
    return {kind: unit_fields(v) for kind, v in found.items()}


def pair_table(found: Kinds) -> dict[str, float]:
    """``pairs/<kind>/<kind>``: mean ``|cos|`` of pairs of two fields, and ``..._std``."""
    table = {}
    for a, b in combinations_with_replacement(found, 2):
        cosines = (found[a] @ found[b].T).abs()
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
    if len(cosines) <= NEIGHBOURS or not find_spec("umap"):
        return classical_scaling(cosines), "classical scaling"
    threads = torch.get_num_threads()
    from umap import UMAP

    with catch_warnings(action="ignore"):  # that what a seed needs is what it takes
        method = UMAP(NEIGHBOURS, metric="precomputed", random_state=0)
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
