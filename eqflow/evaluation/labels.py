"""How a field agrees with known velocities, those it was trained with where there are any."""

from eqflow.fields import VelocityField
from eqflow.snapshots import Snapshots


def labelled(field: VelocityField, snapshots: Snapshots) -> dict[str, float]:
    """``labels/cos``, and ``labels/speed``: the labels' velocities per velocity of the field.

    The inverse of that speed is the transit time in the labels' unit of time.
    """
    if snapshots.labels is None:
        return {}
    speed, cosine = snapshots.labels.fit(field(snapshots.labels.x))
    return {"labels/speed": speed, "labels/cos": cosine}
