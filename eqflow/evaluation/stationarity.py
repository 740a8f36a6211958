"""Test of stationarity: whether held-out states allow that a field keeps their law."""

from eqflow.evaluation.protocol import Protocol
from eqflow.evaluation.states import noised
from eqflow.fields import VelocityField
from eqflow.processes import Draws
from eqflow.snapshots import Snapshots
from eqflow.stationarity import functions_for, hotelling

FEWEST = 50
"""Held-out states that the test of stationarity takes at least."""


def stationarity(
    field: VelocityField, snapshots: Snapshots, sigma: float, protocol: Protocol
) -> dict[str, float]:
    """Test of stationarity on all held-out states, noised where the field lives there.

    Those of one group count as one. Where the true velocity is rejected on clean states, the
    sample itself is not stationary.
    """
    if len(snapshots.test) < FEWEST:
        return {}
    x = noised(snapshots.test, sigma, protocol.seed, Draws.HELD_OUT)
    functions = functions_for(x, protocol.seed)
    velocities = {"": field(x)}
    if snapshots.velocity and not sigma:
        velocities["truth/"] = snapshots.velocity(x)
    states, groups = x.double(), snapshots.test_groups
    tests = {prefix: hotelling(v, states, functions, groups) for prefix, v in velocities.items()}
    return {f"{prefix}stationarity/p_value": test.p_value for prefix, test in tests.items()} | {
        f"{prefix}stationarity/effect_size": test.effect_size for prefix, test in tests.items()
    }
