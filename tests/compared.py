"""Fields as a run compares them, with numbers and findings that are made up."""

import torch

from eqflow.data import split
from eqflow.discovery import Findings
from eqflow.evaluation import ComparedField, Protocol, Reference
from eqflow.fields import Library

PRESERVED = {
    "preservation/mmd2_ratio": -0.412,
    "preservation/mmd2_ratio_h1": 0.123,
    "preservation/mmd2_ratio_h2": 31.7,
    "preservation/escaped_h1": 0.0,
    "preservation/escaped_h2": 0.0125,
    "preservation/mmd2_rbf05": 0.000457,
    "preservation/mmd2_floor95": 0.000615,
    "preservation/sigma": 0.2,
    "residual/relative": 1304.8,
}
TRUTH = {"truth/cos": 0.876, "truth/cos_smoothed": 0.901}


def law_of(dim=2):
    """The first two variables turn around each other, the others rest; and what was found of it."""
    field = Library((dim,), degree=1)
    field.coefficients[2, 0], field.coefficients[1, 1] = 2.0, -0.5
    spread = 0.1 * (field.coefficients != 0)
    low, high = ((field.coefficients + sign * spread).tolist() for sign in (-1, 1))
    tried = {"unknowns": dim * (dim + 1), "statistic": 1.0, "terms": 2}
    rejected = {"degree": 0, "unknowns": 2, "statistic": 9.0, "terms": 2, "p_value": 0.0}
    findings = Findings(
        degree=1,
        degrees=[
            rejected | {"effect_size": 0.7},
            tried | {"degree": 1, "p_value": 0.4321, "effect_size": -0.001},
        ],
        terms=2,
        path=[{"terms": 3, "rise": 0.0}, {"terms": 2, "rise": 1.5}, {"terms": 1, "rise": 4e4}],
        p_value=0.4321,
        effect_size=-0.001,
        spectrum=[0.9, 12.0, 40.0],
        error=0.1,
        dimension=1,
        gap=77.7,
        direction=0.99987,
        divergence=-0.8,
        divergence_error=0.1,
        oriented=True,
        escaped=0.0,
        drift=0.3,
        time=100.0,
        low=low,
        high=high,
        inclusion=(field.coefficients != 0).double().tolist(),
    )
    return field, findings


def compared(role, family, field, numbers=(), findings=None, snapshots=None):
    """A field at its own noise level, as it is compared."""
    if snapshots is None:
        snapshots = split(torch.randn(60, *field.shape).double(), val=10, test=20)
    reference = Reference(snapshots, field.sigma, Protocol())
    return ComparedField(role, family, field, reference, dict(numbers), findings)
