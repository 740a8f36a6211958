"""Similarity: the cosine between a field and the true velocity, and that to known velocities.

A field made at ``sigma`` is compared with the true velocity ``v(x)`` at noised states and with its
smoothed form ``E[v(x_0) | x]``, the exact target at this noise level.
"""

from torch import Tensor

from eqflow.data import Snapshots
from eqflow.evaluation.reference import Reference
from eqflow.fields import ExactNetwork, VelocityField
from eqflow.metrics import Cosine


def similarity(field: VelocityField, reference: Reference) -> dict[str, float]:
    """Cosine to the true velocity and to its smoothed form, where the truth is known."""
    if reference.snapshots.velocity is None:
        return {}
    v, (truth, smoothed) = field(reference.initial), reference.true_velocities
    signed = cosine(v, truth)
    numbers = {"truth/cos": abs(signed), "truth/cos_signed": signed}
    return numbers | ({"truth/cos_smoothed": abs(cosine(v, smoothed))} if reference.sigma else {})


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
