"""Snapshots: splits, standardised units, groups, known velocities, periodicity."""

from eqflow.data.groups import boundary, half, numbered, shuffled, summed
from eqflow.data.periodicity import warn_if_not_periodic
from eqflow.data.snapshots import (
    Snapshots,
    add_measurement_noise,
    check_sizes,
    check_states,
    split,
)
from eqflow.data.standardiser import Standardiser, channelwise
from eqflow.data.velocities import KnownVelocities, checked_velocities

__all__ = [
    "KnownVelocities",
    "Snapshots",
    "Standardiser",
    "add_measurement_noise",
    "boundary",
    "channelwise",
    "check_sizes",
    "check_states",
    "checked_velocities",
    "half",
    "numbered",
    "shuffled",
    "split",
    "summed",
    "warn_if_not_periodic",
]
