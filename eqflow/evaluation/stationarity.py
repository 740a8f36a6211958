"""Test of stationarity: whether held-out states allow that a field keeps their law."""

from eqflow.evaluation.protocol import Protocol
from eqflow.evaluation.states import noised
from eqflow.fields import VelocityField
from eqflow.processes import Stream
from eqflow.snapshots import Snapshots
from eqflow.stationarity import FourierFunctions, hotelling

MIN_UNITS = 50
"""Fewest held-out states that the test of stationarity takes."""


def stationarity(
    field: VelocityField, snapshots: Snapshots, sigma: float, protocol: Protocol
) -> dict[str, float]:
    """Test of stationarity on all held-out states, noised where the field lives there.

    Where the true velocity is rejected on clean states, the sample itself is not stationary.
    """
    if len(snapshots.shape) != 1 or len(snapshots.test) < MIN_UNITS:
        return {}
    x = noised(snapshots.test, sigma, protocol.seed, Stream.HELD_OUT)
    functions = FourierFunctions.of(x, seed=protocol.seed)
    velocities = {"": field(x)}
    if snapshots.velocity and not sigma:
        velocities["truth/"] = snapshots.velocity(x)
    tests = {prefix: hotelling(v, x.double(), functions) for prefix, v in velocities.items()}
    return {f"{prefix}stationarity/p_value": test.p_value for prefix, test in tests.items()} | {
        f"{prefix}stationarity/effect_size": test.effect_size for prefix, test in tests.items()
    }
