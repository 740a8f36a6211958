"""Integration of velocity fields: ODE and SDE, and which states have left the data."""

from eqflow.simulate.adaptive import Dopri5
from eqflow.simulate.base import Integrator
from eqflow.simulate.escape import inside, reach
from eqflow.simulate.ode import RK4
from eqflow.simulate.sde import EulerMaruyama, HeunSDE
from eqflow.simulate.stable import Stable, stiffness

__all__ = [
    "RK4",
    "Dopri5",
    "EulerMaruyama",
    "HeunSDE",
    "Integrator",
    "Stable",
    "inside",
    "reach",
    "stiffness",
]
