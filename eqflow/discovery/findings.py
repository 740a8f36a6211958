"""What a fit of a library says of its equations, and whether the snapshots determine them."""

from dataclasses import dataclass, field
from itertools import chain

from eqflow.discovery.candidates import ACCEPTANCE_LEVEL
from eqflow.text import aligned

RECOVERY_LEVEL = 0.05
"""Held-out p-value above which equations are called recovered; to be selected they need less."""


MAX_ESCAPED = 0.01
"""Share of states that may leave the data when recovered equations are simulated."""


MIN_GAP = 2.0
"""Gap of the identifiability spectrum that recovered equations must have."""


MIN_DIRECTION_COSINE = 0.95
"""Cosine to the fit that 95 % of the bootstrap's fields must reach if equations are recovered."""


@dataclass(frozen=True, repr=False)
class Findings:
    """Results of the fit of a library, in plain values (method section 6).

    Printed they are a short table.

    Attributes:
        degree: Degree of the selected library.
        degrees: A row for each library that was fitted: its degree, unknowns, terms that were kept,
            statistic per moment, held-out p-value and effect size.
        path: Terms left, and the rise of the statistic, along the elimination of the full fit.
        p_value: P-value of the held-out test.
        effect_size: Effect size of the held-out test.
        spectrum: Statistics per moment of the identifiability spectrum.
        error: Standard error of a value of the spectrum that is 1.
        dimension: Dimension of the space of fields that keep the distribution.
        gap: Gap of the spectrum behind them.
        direction: Cosine to the fit that 95 % of the bootstrap's fields reach.
        divergence: Mean divergence of the field, in inverse transit times.
        divergence_error: Its standard error.
        oriented: Whether contraction determines the sign.
        escaped: Share of held-out states that leave the data when the equations are simulated.
        low: Lower ends of the coefficients' 95 % intervals in raw units, (terms, dim), given the
            terms that were kept.
        high: Upper ends of these intervals.
        noise_std: Size of the measurement noise that was corrected for, in each feature's standard
            deviation.
        noise_low: Lower end of its 95 % interval, if it was estimated.
        noise_high: Upper end of this interval.
        blurred: Cosine to the fit of a fit without the correction.
        symmetries: Names of the known symmetries of the distribution.
        modulo_symmetries: Whether the field is one beside the symmetries, orthogonal to them.
    """

    degree: int
    degrees: list[dict[str, float]]
    path: list[dict[str, float]]
    p_value: float
    effect_size: float
    spectrum: list[float]
    error: float
    dimension: int
    gap: float
    direction: float
    divergence: float
    divergence_error: float
    oriented: bool
    escaped: float
    low: list[list[float]]
    high: list[list[float]]
    noise_std: float = 0.0
    noise_low: float = 0.0
    noise_high: float = 0.0
    blurred: float = 1.0
    symmetries: list[str] = field(default_factory=list)
    modulo_symmetries: bool = False

    def __repr__(self) -> str:
        rows = {
            "equations": f"not recovered: {self.reason}" if self.reason else "recovered",
            "held-out p-value": f"{self.p_value:.2g}",
            "effect size": f"{self.effect_size:.2g}",
            "degree": f"{self.degree}",
            "dimension": f"{self.dimension} (of the space of fields that keep the distribution)",
            "symmetries": self.symmetries_in_words,
            "gap": f"{self.gap:.3g}",
            "bootstrap direction": f"{self.direction:.5g}",
            "escaped": f"{self.escaped:.2%}",
            "orientation": f"{self.orientation} ({self._divergence} per transit time)",
            "measurement noise": f"{self.noise_std:.2%}" if self.noise_std else "",
        }
        return aligned({name: text for name, text in rows.items() if text})

    def numbers(self) -> dict[str, float]:
        """The numbers of ``metrics.json``, by their names there."""
        intervals = zip(chain(*self.low), chain(*self.high), strict=True)
        return {
            "selection/degree": self.degree,
            "selection/terms": sum(low != high for low, high in intervals),
            "selection/p_value": self.p_value,
            "spectrum/dimension": self.dimension,
            "spectrum/gap": self.gap,
            "spectrum/symmetries": len(self.symmetries),
            "bootstrap/direction": self.direction,
            "selection/escaped": self.escaped,
            "orientation": int(self.oriented),
            "noise/std": self.noise_std,
            **({"noise/blurred_cos": self.blurred} if self.noise_std else {}),
        }

    @property
    def reason(self) -> str:
        """Why the equations do not count as recovered; empty if they do."""
        if self.p_value < ACCEPTANCE_LEVEL:
            return "no library that was tried keeps the distribution"
        if self.p_value < RECOVERY_LEVEL:
            return f"the held-out test leaves it in doubt, p = {self.p_value:.2g}"
        if self.dimension != (1 + len(self.symmetries) if self.modulo_symmetries else 1):
            span = f"the fields that keep the distribution span {self.dimension} dimensions"
            return span + (
                f", with {self.symmetries_in_words} among them" if self.symmetries else ""
            )
        if self.gap < MIN_GAP:
            return "another field keeps the distribution nearly as well"
        if self.direction < MIN_DIRECTION_COSINE:
            return "the bootstrap's fields point in different directions"
        if self.escaped > MAX_ESCAPED:
            return f"{self.escaped:.0%} of the states leave the data when it is simulated"
        return ""

    @property
    def symmetries_in_words(self) -> str:
        """Names of the symmetries as part of a sentence; empty if there are none."""
        return " and ".join(f"the {name}" for name in self.symmetries)

    @property
    def symmetric(self) -> bool:
        """Whether the only field that keeps the distribution is one of its symmetries."""
        return not self.modulo_symmetries and self.dimension == len(self.symmetries) == 1

    @property
    def note(self) -> str:
        """Sentences on doubts, the sign and symmetries, printed beneath the equations."""
        doubt = f"Not recovered: {self.reason}." if self.reason else ""
        return " ".join(filter(None, [doubt, self._sign, self._freedom]))

    @property
    def orientation(self) -> str:
        """Whether contraction determines the sign, in a word."""
        return "determined" if self.oriented else "undetermined"

    @property
    def _divergence(self) -> str:
        return f"E div v = {self.divergence:.3g} +- {self.divergence_error:.2g}"

    @property
    def _sign(self) -> str:
        if self.oriented:
            return f"The sign follows from contraction ({self._divergence} per transit time)."
        seen = f"no contraction is seen ({self._divergence} per transit time)"
        return f"The sign is undetermined: {seen}."

    @property
    def _freedom(self) -> str:
        symmetries = self.symmetries_in_words
        if self.symmetric:
            return f"The equations are a symmetry of the distribution: {symmetries}."
        if not self.modulo_symmetries:
            return ""
        return f"Multiples of {symmetries} may be added: the field shown is orthogonal to them."
