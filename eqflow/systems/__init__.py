"""Dynamics whose truth is known: right-hand side and sampler."""

from eqflow.systems.dysts import Dysts, names
from eqflow.systems.gray_scott import PRESETS, GrayScott, start
from eqflow.systems.lorenz import Lorenz63
from eqflow.systems.runs import LOOK, Sample, Schedule
from eqflow.systems.stencil import advance

__all__ = [
    "LOOK",
    "PRESETS",
    "Dysts",
    "GrayScott",
    "Lorenz63",
    "Sample",
    "Schedule",
    "advance",
    "names",
    "start",
]
