"""Equilibrium flow: from unordered snapshots to the dynamics that keep their distribution."""

from typing import TYPE_CHECKING, Any

from eqflow.errors import InputError
from eqflow.version import __version__

if TYPE_CHECKING:
    from eqflow.estimator import EquilibriumFlow, load, stationarity_test

__all__ = ["EquilibriumFlow", "InputError", "__version__", "load", "stationarity_test"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    # torch and Lightning take seconds to import, which the command line's --help must not pay
    if name in ("EquilibriumFlow", "load", "stationarity_test"):
        from eqflow import estimator

        return getattr(estimator, name)
    raise AttributeError(f"module 'eqflow' has no attribute {name!r}")
