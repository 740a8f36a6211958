"""Snapshots: splits, standardised units, groups, known velocities, periodicity."""

from eqflow.data.groups import boundary, half, numbered, shuffled, summed
from eqflow.data.periodicity import warn_of_seams
from eqflow.data.snapshots import Snapshots, check_sizes, check_states, measured, remembered, split
from eqflow.data.standardiser import Standardiser, channelwise
from eqflow.data.velocities import Labels, raw_labels

__all__ = [
    "Labels",
    "Snapshots",
    "Standardiser",
    "boundary",
    "channelwise",
    "check_sizes",
    "check_states",
    "half",
    "measured",
    "numbered",
    "raw_labels",
    "remembered",
    "shuffled",
    "split",
    "summed",
    "warn_of_seams",
]
