"""Snapshots as learning sees them: split, standardised, in groups, with known velocities."""

from eqflow.data.copies import distinct
from eqflow.data.groups import group_boundary, group_numbers, group_sums, random_half, random_order
from eqflow.data.neighbours import novelty, spacing
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
    "channelwise",
    "check_sizes",
    "check_states",
    "checked_velocities",
    "distinct",
    "group_boundary",
    "group_numbers",
    "group_sums",
    "novelty",
    "random_half",
    "random_order",
    "spacing",
    "split",
    "warn_if_not_periodic",
]
