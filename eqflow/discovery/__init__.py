"""From snapshots to equations of motion."""

from eqflow.discovery.candidates import ACCEPTED
from eqflow.discovery.equations import Coefficient, Equations
from eqflow.discovery.findings import TRUSTED, Findings
from eqflow.discovery.fit import Discovery, check_options
from eqflow.discovery.selection import select

__all__ = [
    "ACCEPTED",
    "TRUSTED",
    "Coefficient",
    "Discovery",
    "Equations",
    "Findings",
    "check_options",
    "select",
]
