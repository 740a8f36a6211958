"""Images that are specified by hand: icons scattered on a background, at a density."""

from eqflow.icons.drawing import DRAWINGS
from eqflow.icons.files import icon
from eqflow.icons.icon import FAINT, Icon, Scene
from eqflow.icons.scatter import Scattered, number_of_icons, scatter

__all__ = [
    "DRAWINGS",
    "FAINT",
    "Icon",
    "Scattered",
    "Scene",
    "icon",
    "number_of_icons",
    "scatter",
]
