"""Similarity: the cosine between a field and the true velocity, and that to known velocities.

Beside the cosine of whole fields stands that of every equation: a slow variable counts little in
the first, so that its equation may be wrong unseen.

A field made at ``sigma`` is compared with the true velocity ``v(x)`` at noised states and with its
smoothed form ``E[v(x_0) | x]``, the exact target at this noise level.
"""

from math import copysign

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.data import Snapshots
from eqflow.evaluation.reference import Reference
from eqflow.fields import ExactNetwork, VelocityField
from eqflow.metrics import Cosine
from eqflow.terms import channel_names, variable_names


def similarity(field: VelocityField, reference: Reference) -> dict[str, float]:
    """Cosine to the true velocity and to its smoothed form, where the truth is known."""
    if reference.snapshots.velocity is None:
        return {}
    v, (truth, smoothed) = field(reference.initial), reference.true_velocities
    numbers = {f"truth/{name}": value for name, value in field_cosines(v, truth).items()}
    return numbers | ({"truth/cos_smoothed": abs(cosine(v, smoothed))} if reference.sigma else {})


def field_cosines(v: Float[Tensor, "n *shape"], w: Float[Tensor, "n *shape"]) -> dict[str, float]:
    """Cosine between two velocities, signed and not, that of every equation, and the least.

    The sign that a whole field has is taken from all of its equations alike: one that is turned
    against the others has a negative cosine.
    """
    signed, names = cosine(v, w), channel_names if v.ndim > 2 else variable_names
    equations = (copysign(1, signed) * cosines(v.transpose(0, 1), w.transpose(0, 1))).tolist()
    numbers = {"cos": abs(signed), "cos_signed": signed, "cos_min": min(equations)}
    return numbers | {f"cos_{k}": c for k, c in zip(names(v.shape[1]), equations, strict=True)}


def cosines(v: Float[Tensor, "n *shape"], w: Float[Tensor, "n *shape"]) -> Float[Tensor, " n"]:
    """Cosines ``<v_n, w_n> / (|v_n| |w_n|)`` of pairs of vectors; 0 where one vanishes."""
    return torch.cosine_similarity(v.flatten(1).double(), w.flatten(1).double(), eps=1e-30)


def velocity_agreement(field: VelocityField, snapshots: Snapshots) -> dict[str, float]:
    """Cosine to known velocities, and the factor that brings the field to their speed.

    The inverse of ``velocities/speed`` is the transit time in the unit of time of the known
    velocities.
    """
    known = snapshots.known_velocities
    if known is None:
        return {}
    speed, cos = known.fit(field(known.x))
    return {"velocities/speed": speed, "velocities/cos": cos}


def likeness_to_network(field: VelocityField, reference: Reference) -> dict[str, float]:
    """Cosine between an exact network and the network that it was drawn to."""
    if not isinstance(field, ExactNetwork):
        return {}
    return {"network/cos": cosine(field(reference.initial), field.origin(reference.initial))}


def cosine(v: Tensor, w: Tensor) -> float:
    """Cosine between two velocities over all states, ``E[v . w] / sqrt(E|v|^2 E|w|^2)``."""
    metric = Cosine().to(v.device)
    metric.update(v, w)
    return metric.compute().item()
