"""A field of a run together with its numbers: a row of the table, a panel, a line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eqflow.discovery import Findings
from eqflow.evaluation import HEADLINE, Protocol
from eqflow.fields import Library, VelocityField
from eqflow.report.style import COLOURS, MARKERS, NAMES, OTHER

Numbers = Mapping[str, float | int]
"""Name of a measure -> its value."""


RATIO = "preservation/mmd2_ratio_h"


LEVEL = "preservation/sigma"


MEAN, ODD = "truth/cos_mean", "displacement/odd_cos"
"""Of images: signed cosines to the true velocity and to the true displacement."""


PUBLISHED = "displacement/published_cos"
"""The better of the cosines with both signs, by the published protocol."""


@dataclass(frozen=True)
class Entry:
    """One field and what was measured of it.

    ``prefix`` is that of its measures, empty for the run's own field; ``numbers`` are they under
    the names of docs/measures.md, without the prefix; the rest may be missing.
    ``findings`` are those of a library.
    """

    prefix: str
    family: str
    velocity: VelocityField
    numbers: Numbers
    findings: Findings | None = None

    @property
    def own(self) -> bool:
        """Whether this is the field the run is about."""
        return not self.prefix

    @property
    def null(self) -> bool:
        """Whether this field is only there to be beaten."""
        return self.prefix.startswith("null/")

    @property
    def sigma(self) -> float:
        """Noise level the field lives at."""
        return self.numbers.get(LEVEL, 0.0)

    @property
    def name(self) -> str:
        """What a reader calls it."""
        return NAMES.get(self.family, self.family)

    @property
    def look(self) -> dict[str, Any]:
        """Colour and marker, the same in every picture."""
        return {"color": COLOURS.get(self.family, OTHER), "marker": MARKERS.get(self.family, "*")}

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


def entries(
    config: Mapping[str, Any],
    metrics: Numbers,
    fields: Mapping[str, VelocityField],
    findings: Mapping[str, Findings],
) -> list[Entry]:
    """The run's own field first, then those beside it and the nulls that were measured."""
    found = []
    for prefix, velocity in fields.items():
        family = prefix.split("/")[-2] if prefix else config["flow"]["family"]
        numbers = {n.removeprefix(prefix): v for n, v in metrics.items() if n.startswith(prefix)}
        if numbers or not prefix:
            clean = isinstance(velocity, Library)
            numbers.setdefault(LEVEL, 0.0 if clean else config["flow"]["sigma"])
            found.append(Entry(prefix, family, velocity, numbers, findings.get(prefix)))
    return found


def spread_of(numbers: Numbers, name: str) -> float | None:
    """Standard deviation of a measure over random maps, or else over images, where it was taken."""
    over_images = f"{name.removesuffix('_mean')}_std"
    return numbers.get(f"{name}_std", numbers.get(over_images))
