"""Similarity: the cosine between a field and the true velocity.

A field made at ``sigma`` is compared with the true velocity ``v(x)`` at noised states and with its
smoothed form ``E[v(x_0) | x]``, the exact target at this noise level.
"""

from torch import Tensor

from eqflow.data import Snapshots, remembered
from eqflow.evaluation.protocol import Protocol
from eqflow.evaluation.states import held_out
from eqflow.fields import VelocityField
from eqflow.metrics import Cosine
from eqflow.score import EmpiricalScore


def similarity(
    field: VelocityField, snapshots: Snapshots, sigma: float, protocol: Protocol
) -> dict[str, float]:
    """Cosine to the true velocity and to its smoothed form, where it is known."""
    if snapshots.velocity is None:
        return {}
    v = field(held_out(snapshots, sigma, protocol)[0])
    truth, smoothed = true_velocities(snapshots, sigma, protocol)
    cosine = _cosine(v, truth)
    numbers = {"truth/cos": abs(cosine), "truth/cos_signed": cosine}
    return numbers | ({"truth/cos_smoothed": abs(_cosine(v, smoothed))} if sigma else {})


@remembered
def true_velocities(
    snapshots: Snapshots, sigma: float, protocol: Protocol
) -> tuple[Tensor, Tensor]:
    """The true velocity at the starts, and its smoothed form ``E[v(x_0) | x]``."""
    x, velocity = held_out(snapshots, sigma, protocol)[0], snapshots.velocity
    assert velocity is not None
    if not sigma:
        return velocity(x), velocity(x)
    at_train = velocity(snapshots.train)
    return velocity(x), EmpiricalScore(snapshots.train).posterior_mean(x, sigma, at_train)


def _cosine(v: Tensor, w: Tensor) -> float:
    metric = Cosine().to(v.device)
    metric.update(v, w)
    return metric.compute().item()


def velocity_agreement(field: VelocityField, snapshots: Snapshots) -> dict[str, float]:
    """Cosine to known velocities, and the speed by which the field has to be multiplied for them.

    The inverse of that speed is the transit time in the unit of time of the known velocities.
    """
    if snapshots.known_velocities is None:
        return {}
    speed, cosine = snapshots.known_velocities.fit(field(snapshots.known_velocities.x))
    return {"velocities/speed": speed, "velocities/cos": cosine}
