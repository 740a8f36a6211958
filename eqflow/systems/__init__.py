"""Dynamical systems whose equations are known: right-hand side, and a sampler of snapshots."""

from eqflow.systems.dysts import Dysts, names
from eqflow.systems.gray_scott import PRESETS, GrayScott, initial_state
from eqflow.systems.lorenz import Lorenz63
from eqflow.systems.runs import CHECK_INTERVAL, Sample, Schedule
from eqflow.systems.stencil import advance

__all__ = [
    "CHECK_INTERVAL",
    "PRESETS",
    "Dysts",
    "GrayScott",
    "Lorenz63",
    "Sample",
    "Schedule",
    "advance",
    "initial_state",
    "names",
]
