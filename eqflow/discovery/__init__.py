"""From snapshots to equations of motion: fit of a library, selection of its terms, inference."""

from eqflow.discovery.candidates import ACCEPTANCE_LEVEL
from eqflow.discovery.equations import Coefficient, Equations
from eqflow.discovery.findings import COMPATIBLE_LEVEL, Findings
from eqflow.discovery.fit import Discovery, check_options
from eqflow.discovery.selection import select

__all__ = [
    "ACCEPTANCE_LEVEL",
    "COMPATIBLE_LEVEL",
    "Coefficient",
    "Discovery",
    "Equations",
    "Findings",
    "check_options",
    "select",
]
