"""Behaviour of objects in films: ``locate`` finds the objects of each frame."""

from eqflow.metrics.behaviour.locate import WHOLE, Detections, locate
from eqflow.metrics.behaviour.templates import Templates

__all__ = ["WHOLE", "Detections", "Templates", "locate"]
