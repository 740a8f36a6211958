"""Lightning data modules: synthetic data sets, and snapshots from a user's files."""

from data_modules.base import SnapshotsModule, SyntheticModule
from data_modules.dysts import Dysts
from data_modules.files import SnapshotsFile
from data_modules.gray_scott import GrayScott
from data_modules.icons import Icons
from data_modules.lorenz import Lorenz
from data_modules.planar import Ring, TwoMoons, TwoPeaks

__all__ = [
    "Dysts",
    "GrayScott",
    "Icons",
    "Lorenz",
    "Ring",
    "SnapshotsFile",
    "SnapshotsModule",
    "SyntheticModule",
    "TwoMoons",
    "TwoPeaks",
]
