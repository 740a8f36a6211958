"""Numerical integration of velocity fields, as ODE or as SDE."""

from eqflow.simulate.base import (
    FixedStep,
    Integrator,
    Noise,
    bounding_radius,
    check_times,
    within_radius,
)
from eqflow.simulate.ode import RK4, Dopri5
from eqflow.simulate.sde import EulerMaruyama, HeunSDE
from eqflow.simulate.stable import Stable, stiffness

__all__ = [
    "RK4",
    "Dopri5",
    "EulerMaruyama",
    "FixedStep",
    "HeunSDE",
    "Integrator",
    "Noise",
    "Stable",
    "bounding_radius",
    "check_times",
    "stiffness",
    "within_radius",
]
