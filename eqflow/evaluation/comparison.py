"""The fields that a run compares: its own, those beside it, an ensemble's members, the nulls."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from eqflow.discovery import Findings
from eqflow.evaluation.protocol import HEADLINE, Protocol
from eqflow.evaluation.reference import Reference
from eqflow.fields import ExactNetwork, VelocityField, family_of

Numbers = Mapping[str, float | int]
"""Name of a measure -> its value."""

Role = Literal["own", "beside", "member", "null"]
"""What a field is compared as: the run's own, a fitted one beside it, all members, a null."""

RATIO, NOISE_LEVEL = "preservation/mmd2_ratio_h", "preservation/sigma"
"""Measures: the preservation ratio after a horizon, which follows, and the field's noise level."""

MEAN_COSINE, ODD_COSINE = "truth/cos_mean", "displacement/odd_cos"
"""Measures of images: signed cosines to the true velocity and to the true displacement."""

PUBLISHED_COSINE = "displacement/published_cos"
"""The better of the cosines with both signs, by the published protocol."""

MEMBERS = {"label": "all members", "colour": "#56A0D3", "marker": "P"}
"""How an ensemble is drawn beside the medoid, which stands for it."""


@dataclass(frozen=True, eq=False)
class ComparedField:
    """A field, what it is compared as, and what was measured of it.

    ``reference`` is what the field is compared with; ``numbers`` are under the names of
    docs/measures.md, those that were not measured are missing; ``findings`` are a library's.
    """

    role: Role
    family: str
    field: VelocityField
    reference: Reference
    numbers: Numbers = dataclasses.field(default_factory=dict)
    findings: Findings | None = None

    @property
    def prefix(self) -> str:
        """What the names of its measures begin with in ``metrics.json``."""
        match self.role:
            case "own":
                return ""
            case "member":
                return "beside/members/"
        return f"{self.role}/{self.family}/"

    @property
    def own(self) -> bool:
        """Whether this is the field the run is about."""
        return self.role == "own"

    @property
    def null(self) -> bool:
        """Whether this field is only there to be beaten."""
        return self.role == "null"

    @property
    def sigma(self) -> float:
        """Noise level that the field lives at."""
        return self.field.sigma

    @property
    def name(self) -> str:
        """What a reader calls the field."""
        if isinstance(self.field, ExactNetwork):
            return "exact network"
        family = family_of(self.family)
        return MEMBERS["label"] if self.role == "member" else family.label or family.name

    @property
    def look(self) -> dict[str, Any]:
        """Colour and marker, the same in every figure."""
        family = family_of(self.family)
        if self.role == "member":
            return {"color": MEMBERS["colour"], "marker": MEMBERS["marker"]}
        return {"color": family.colour, "marker": family.marker}

    @property
    def ratios(self) -> dict[float, float]:
        """Transit times, increasing -> ``MMD^2 / floor95`` after them; empty if not simulated."""
        names = [n for n in self.numbers if n.startswith(RATIO) and not n.endswith("_std")]
        return dict(sorted((float(n.removeprefix(RATIO)), self.numbers[n]) for n in names))

    @property
    def headline(self) -> float:
        """Transit times after which the headline ratio is taken."""
        return Protocol(tuple(self.ratios)).headline if self.ratios else HEADLINE

    @property
    def ratio(self) -> float | None:
        """``MMD^2 / floor95`` at the headline horizon."""
        return self.ratios.get(self.headline)

    def escaped(self, horizon: float) -> float | None:
        """Fraction of the states that escaped after ``horizon`` transit times."""
        return self.numbers.get(f"preservation/escaped_h{horizon:g}")


def spread_of(numbers: Numbers, name: str) -> float | None:
    """Standard deviation of a measure over random maps, or else over images, where it was taken."""
    over_images = f"{name.removesuffix('_mean')}_std"
    return numbers.get(f"{name}_std", numbers.get(over_images))
