"""Behaviour of objects in films: located, followed over time, and measured.

``locate`` finds the objects of each frame, ``link`` makes tracks of them, ``Motion``,
``pair_correlation`` and ``encounters`` measure these, ``behaviour`` gives all numbers at once.
"""

from eqflow.metrics.behaviour.encounters import CONTACT, OUTCOMES, PARTED, STAY, encounters
from eqflow.metrics.behaviour.link import Tracks, link
from eqflow.metrics.behaviour.locate import WHOLE, Detections, locate
from eqflow.metrics.behaviour.motion import Motion, Watched
from eqflow.metrics.behaviour.numbers import behaviour, persistent
from eqflow.metrics.behaviour.pairs import pair_correlation
from eqflow.metrics.behaviour.templates import Templates

__all__ = [
    "CONTACT",
    "OUTCOMES",
    "PARTED",
    "STAY",
    "WHOLE",
    "Detections",
    "Motion",
    "Templates",
    "Tracks",
    "Watched",
    "behaviour",
    "encounters",
    "link",
    "locate",
    "pair_correlation",
    "persistent",
]
