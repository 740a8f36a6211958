"""What a fit of a library found, in plain values, and whether that makes a law."""

from dataclasses import dataclass, field

from eqflow.discovery.candidates import ACCEPTANCE_LEVEL

RECOVERY_LEVEL = 0.05
"""Held-out p-value that a law must have to be called recovered; to be chosen it needs less."""


MAX_ESCAPED = 0.01
"""Share of the states that may leave the data when a law that is called recovered is simulated."""


MIN_GAP = 2.0
"""Gap that a law must have to be called recovered."""


MIN_DIRECTION_COSINE = 0.95
"""Cosine to the fit that 95 % of the bootstrap's fields must reach for a law to be determined."""


@dataclass(frozen=True)
class Findings:
    """What was tried and how far the data decide, in plain values (method section 6).

    ``degrees`` has a row for each library tried, ``path`` the terms left and the rise of the
    statistic along the elimination. ``low`` and ``high``, (terms, dim), are 95 % intervals of the
    coefficients in raw units, given the terms that were kept; ``direction`` is the cosine to the
    fit that 95 % of the bootstrap's fields reach. ``escaped`` is the share of held-out states that
    leave the data when the law is simulated. ``noise_std`` is the size of the measurement
    noise that was corrected for, between ``noise_low`` and ``noise_high`` where it was estimated
    (95 %), and ``blurred`` the cosine to the fit of a fit that takes no notice of it.
    ``symmetries`` name the known motions that keep the distribution; ``apart`` says whether the law
    is one beside them, which is given orthogonal to them.
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
    apart: bool = False

    def numbers(self) -> dict[str, float]:
        """What goes into the table of measures."""
        return {
            "selection/degree": self.degree,
            "selection/terms": sum(
                low != high
                for row in zip(self.low, self.high, strict=True)
                for low, high in zip(*row, strict=True)
            ),
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
        """Why no law is determined; empty where one is."""
        if self.p_value < ACCEPTANCE_LEVEL:
            return "no library that was tried keeps the distribution"
        if self.p_value < RECOVERY_LEVEL:
            return f"the held-out test leaves it in doubt, p = {self.p_value:.2g}"
        if self.dimension != (1 + len(self.symmetries) if self.apart else 1):
            fields = f"the fields that keep the distribution span {self.dimension} dimensions"
            return fields + (f", with {self.moves} among them" if self.symmetries else "")
        if self.gap < MIN_GAP:
            return "another field keeps the distribution nearly as well"
        if self.direction < MIN_DIRECTION_COSINE:
            return "the bootstrap's fields point in different directions"
        if self.escaped > MAX_ESCAPED:
            return f"{self.escaped:.0%} of the states leave the data when it is simulated"
        return ""

    @property
    def moves(self) -> str:
        """The symmetries in words; empty if there are none."""
        return " and ".join(f"the {name}" for name in self.symmetries)

    @property
    def symmetric(self) -> bool:
        """Whether the only field that keeps the distribution is a symmetry of it."""
        return not self.apart and self.dimension == len(self.symmetries) == 1

    @property
    def note(self) -> str:
        """The statements on doubt, sign and symmetries that go beneath the equations."""
        doubt = f"Not recovered: {self.reason}." if self.reason else ""
        return " ".join(filter(None, [doubt, self._sign, self._frame]))

    @property
    def _sign(self) -> str:
        evidence = f"E div v = {self.divergence:.3g} +- {self.divergence_error:.2g}"
        if self.oriented:
            return f"The sign follows from contraction ({evidence} per transit time)."
        return f"The sign is undetermined: no contraction is seen ({evidence} per transit time)."

    @property
    def _frame(self) -> str:
        if self.symmetric:
            return f"The law is a symmetry of the distribution: {self.moves}."
        if not self.apart:
            return ""
        return f"Multiples of {self.moves} may be added: the law shown is orthogonal to them."
